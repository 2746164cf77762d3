// The calls of an answer, and fields to say what the tools returned.

import { useState } from "preact/hooks";
import type { AnswerTurn } from "../chat/conversation.ts";
import type { Playground } from "../chat/playground.ts";
import type { SettingsTab } from "./settings-panel.tsx";
import { Icon } from "./icons.tsx";

type ToolCallsProps = {
  readonly answer: AnswerTurn;
  readonly isLast: boolean;
  readonly isBusy: boolean;
  readonly playground: Playground;
  readonly onSettings: (tab: SettingsTab) => void;
};

export function ToolCalls({ answer, isLast, isBusy, playground, onSettings }: ToolCallsProps) {
  const [results, setResults] = useState<readonly string[]>([]);
  const isOpen = isLast && answer.state === "done" && answer.calls.some(({ result }) => result === undefined);
  const change = (at: number, text: string) => setResults(answer.calls.map((_, index) => (index === at ? text : (results[index] ?? ""))));
  const send = (event: Event) => {
    event.preventDefault();
    const refusal = playground.giveResults(answer.calls.map((_, index) => results[index] ?? ""));
    if (refusal) onSettings(refusal.tab); // where the mistake is shown
  };
  return (
    <form class="calls" onSubmit={send}>
      {answer.calls.map(({ id, name, arguments: args, result }, index) => (
        <section key={id} class="call" aria-label={`Call of ${name}`}>
          <h3>
            <Icon name="tool" /> {name}
          </h3>
          <pre tabIndex={0}>{args}</pre>
          {isOpen && (
            <label>
              What it returned
              <textarea
                rows={2}
                spellcheck={false}
                placeholder='{"temperature": 12, "condition": "sunny"}'
                value={results[index] ?? ""}
                onInput={(event) => change(index, event.currentTarget.value)}
              />
            </label>
          )}
          {result !== undefined && (
            <p class="result">
              <span>Returned</span> <code>{result === "" ? "nothing" : result}</code>
            </p>
          )}
        </section>
      ))}
      {isOpen && (
        <button type="submit" class="button primary" disabled={isBusy}>
          {answer.calls.length === 1 ? "Send the result" : "Send the results"}
        </button>
      )}
    </form>
  );
}
