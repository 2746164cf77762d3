// One answer: thinking (folded), text, tool calls, problems and statistics.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { type AnswerTurn, canGoOn, type Metrics } from "../chat/conversation.ts";
import { indentJson } from "../chat/indent-json.ts";
import type { Playground } from "../chat/playground.ts";
import type { Refusal } from "../chat/playground-state.ts";
import { BoxesView } from "./boxes-view.tsx";
import { CopyButton, IconButton } from "./buttons.tsx";
import { Icon } from "./icons.tsx";
import { languageOf } from "./language-of.ts";
import { Lines } from "./lines.tsx";
import { Markdown } from "./markdown.tsx";
import { memo } from "./memo.ts";
import { ProblemView } from "./problem-view.tsx";
import type { SettingsTab } from "./settings-panel.tsx";
import { ToolCalls } from "./tool-calls.tsx";

type AnswerViewProps = {
  readonly answer: AnswerTurn;
  readonly isLast: boolean;
  readonly isBusy: boolean;
  readonly playground: Playground;
  readonly onCode: (answer: AnswerTurn) => void;
  readonly onExperts: (answer: AnswerTurn) => void;
  readonly onSettings: (tab: SettingsTab) => void;
};

const MarkdownOnce = memo(Markdown);
const JsonOnce = memo(JsonText);

export function AnswerView({ answer, isLast, isBusy, playground, onCode, onExperts, onSettings }: AnswerViewProps) {
  const isRunning = answer.state === "running";
  const showMistake = (refusal: Refusal | undefined) => {
    if (refusal) onSettings(refusal.tab); // where the mistake is shown
  };
  const [isUnsure, setUnsure] = useState(false);
  const askAgain = () => showMistake(playground.regenerate(answer.id));
  useEffect(() => setUnsure(false), [isLast]);
  const askAgainSafely = () => (isLast ? askAgain() : setUnsure(true));
  const isWaiting = isRunning && answer.text === "" && answer.thinking === "" && answer.calls.length === 0;
  return (
    <>
      <h2 class="hidden-visually">Answer</h2>
      {isWaiting && <p class="waiting under-way">Reading</p>}
      {answer.thinking !== "" && <Thinking answer={answer} />}
      {answer.text !== "" && <AnswerText answer={answer} />}
      <BoxesView answer={answer} turns={playground.state.conversation.turns} />
      {answer.calls.length > 0 && (
        <ToolCalls answer={answer} isLast={isLast} isBusy={isBusy} playground={playground} onSettings={onSettings} />
      )}
      {answer.state === "stopped" && <p class="note">Stopped.</p>}
      {answer.metrics.finishReason === "length" && <p class="note">Cut off at the token limit.</p>}
      {answer.problem && <ProblemView problem={answer.problem} onRetry={askAgainSafely} onKey={() => onSettings("page")} />}
      {!isRunning && (
        <footer class="answer-foot">
          <div class="actions">
            {answer.text !== "" && <CopyButton text={answer.text} label="Copy the answer" />}
            {isLast && canGoOn(answer) && (
              <IconButton icon="goOn" label="Continue this answer" disabled={isBusy} onClick={() => showMistake(playground.goOn())} />
            )}
            <IconButton icon="retry" label="Answer again" disabled={isBusy} onClick={askAgainSafely} />
            <IconButton icon="code" label="Show the request as code" onClick={() => onCode(answer)} />
            {answer.routing && <IconButton icon="experts" label="Show the experts behind this answer" onClick={() => onExperts(answer)} />}
          </div>
          <Figures metrics={answer.metrics} />
        </footer>
      )}
      {isUnsure && !isLast && <Replacing isBusy={isBusy} onReplace={askAgain} onKeep={() => setUnsure(false)} />}
    </>
  );
}

type ReplacingProps = { readonly isBusy: boolean; readonly onReplace: () => void; readonly onKeep: () => void };

/** Asks before a new answer replaces this one and all turns after it. */
function Replacing({ isBusy, onReplace, onKeep }: ReplacingProps) {
  const button = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => {
    const opener = document.activeElement;
    button.current!.focus(); // before the next key
    return () => opener instanceof HTMLElement && opener.focus();
  }, []);
  return (
    <div class="replacing" role="group" aria-label="Answer again">
      <span>A new answer deletes everything after it.</span>
      <button type="button" class="button danger" ref={button} disabled={isBusy} onClick={onReplace}>
        Delete and answer
      </button>
      <button type="button" class="button" onClick={onKeep}>
        Cancel
      </button>
    </div>
  );
}

function AnswerText({ answer: { text, settings, state } }: { readonly answer: AnswerTurn }) {
  return settings.format === "text" ? <MarkdownOnce text={text} isGrowing={state === "running"} /> : <JsonOnce text={text} />;
}

/** JSON answers, which Markdown would garble. */
function JsonText({ text }: { readonly text: string }) {
  return (
    <pre class="json-answer" tabIndex={0}>
      <Lines text={indentJson(text)} />
    </pre>
  );
}

function Thinking({ answer: { thinking, text, state, calls, metrics } }: { readonly answer: AnswerTurn }) {
  const isThinking = state === "running" && text === "" && calls.length === 0;
  const { thinkingTokens, thinkingMs } = metrics;
  return (
    <details class="thinking">
      <summary>
        <Icon name="chevron" />
        <span class={isThinking ? "under-way" : undefined}>{isThinking ? "Thinking" : "Thought"}</span>
        {thinkingMs !== undefined && (!isThinking || thinkingMs >= 1000) && <span class="figure">{duration(thinkingMs)}</span>}
        {!isThinking && thinkingTokens !== undefined && <span class="figure">{count(thinkingTokens, "token")}</span>}
      </summary>
      <div class="thinking-text" lang={languageOf(thinking)}>
        <Lines text={thinking} />
      </div>
    </details>
  );
}

function Figures({ metrics }: { readonly metrics: Metrics }) {
  const { firstTokenMs, tokensPerSecond, promptTokens, cachedTokens, outputTokens, finishReason } = metrics;
  const cached = cachedTokens ? `, ${cachedTokens.toLocaleString("en")} cached` : "";
  const figures: [string, string | undefined][] = [
    ["Time to first token", firstTokenMs === undefined ? undefined : `${duration(firstTokenMs)} to first token`],
    ["Speed", tokensPerSecond === undefined ? undefined : `${rate(tokensPerSecond)} tokens/s`],
    ["Prompt", promptTokens === undefined ? undefined : `${count(promptTokens, "prompt token")}${cached}`],
    ["Answer", outputTokens === undefined ? undefined : count(outputTokens, "answer token")],
    ["Finish reason", finishReason === undefined ? undefined : `ended: ${finishReason}`],
  ];
  return (
    <ul class="figures" aria-label="Statistics of this answer">
      {figures.map(
        ([name, value]) =>
          value !== undefined && (
            <li key={name} title={name}>
              {value}
            </li>
          ),
      )}
    </ul>
  );
}

function count(amount: number, unit: string): string {
  return `${amount.toLocaleString("en")} ${unit}${amount === 1 ? "" : "s"}`;
}

function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

function rate(perSecond: number): string {
  return perSecond < 100 ? perSecond.toFixed(1) : Math.round(perSecond).toLocaleString("en");
}
