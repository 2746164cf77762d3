// The middle of the page: problems, the conversation or the welcome, and the form for the next message.

import type { AnswerTurn } from "../chat/conversation.ts";
import type { Playground } from "../chat/playground.ts";
import { isBusy, type PlaygroundState } from "../chat/playground-state.ts";
import { plainSettings } from "../samples.ts";
import type { Preferences } from "../store/preferences.ts";
import { Composer } from "./composer.tsx";
import { useDroppedFiles } from "./dropped-files.ts";
import type { SettingsTab } from "./settings-panel.tsx";
import { Transcript } from "./transcript.tsx";
import { Welcome } from "./welcome.tsx";

type ChatProps = {
  readonly playground: Playground;
  readonly preferences: Preferences;
  readonly state: PlaygroundState;
  readonly onSettings: (tab: SettingsTab) => void;
  readonly onCode: (answer: AnswerTurn) => void;
  readonly onExperts: (answer: AnswerTurn) => void;
};

export function Chat({ playground, preferences, state, onSettings, onCode, onExperts }: ChatProps) {
  const { conversation, model, server } = state;
  const { dropped, isOver } = useDroppedFiles();
  return (
    <main class={isOver ? "chat dropping" : "chat"}>
      {server.type === "problem" && conversation.turns.length === 0 && (
        <div class="banner" role="alert">
          <span>
            <strong>{server.problem.title}.</strong> {server.problem.detail}
          </span>
          <button
            type="button"
            class="button"
            onClick={() => (server.problem.kind === "key" ? onSettings("page") : void playground.connect())}
          >
            {server.problem.kind === "key" ? "Enter a key" : "Try again"}
          </button>
        </div>
      )}
      {state.keeping === "failed" && (
        <p class="banner" role="alert">
          This conversation could not be saved: this browser may have no space left. Delete other conversations, or this one is lost when
          you close the tab.
        </p>
      )}
      {conversation.turns.length === 0 ? (
        <Welcome
          modelId={model?.id}
          isBusy={isBusy(state)}
          onAsk={({ question, settings }, pictures) => playground.sendExample(question, pictures, { ...plainSettings, ...settings })}
        />
      ) : (
        <Transcript playground={playground} state={state} onCode={onCode} onExperts={onExperts} onSettings={onSettings} />
      )}
      <div class="dock">
        <Composer
          id="message"
          label="Message"
          initialText={preferences.draft}
          takesVideo={model?.takesVideo ?? false}
          isRunning={isBusy(state)}
          conversationId={conversation.id}
          dropped={dropped}
          onType={(text) => (preferences.draft = text)}
          onSend={(text, attachments) => playground.send(text, attachments)}
          onStop={() => playground.stop()}
        >
          <Chips playground={playground} state={state} onSettings={onSettings} />
        </Composer>
      </div>
    </main>
  );
}

/** Buttons for thinking and for settings that are not at their default. */
function Chips({ playground, state, onSettings }: Omit<ChatProps, "onCode" | "onExperts" | "preferences">) {
  const { settings } = state.conversation;
  const isThinking = settings.thinking === "on";
  return (
    <>
      <button
        type="button"
        class="chip"
        aria-pressed={isThinking}
        onClick={() => playground.change({ thinking: isThinking ? "off" : "on" })}
      >
        Think
      </button>
      {settings.format !== "text" && (
        <button type="button" class="chip on" onClick={() => onSettings("format")}>
          {settings.format === "schema" ? "JSON schema" : "JSON"}
        </button>
      )}
      {settings.zooms && (
        <button type="button" class="chip on" onClick={() => onSettings("tools")}>
          Zoom
        </button>
      )}
      {settings.useTools && (
        <button type="button" class="chip on" onClick={() => onSettings("tools")}>
          Tools
        </button>
      )}
      {settings.system.trim() !== "" && (
        <button type="button" class="chip on" onClick={() => onSettings("answer")}>
          System prompt
        </button>
      )}
    </>
  );
}
