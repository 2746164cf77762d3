// The turns of a conversation. Stays scrolled to the end while an answer grows.

import { useRef, useState } from "preact/hooks";
import type { AnswerTurn, UserTurn } from "../chat/conversation.ts";
import type { Playground } from "../chat/playground.ts";
import { isBusy, type PlaygroundState } from "../chat/playground-state.ts";
import { AnswerView } from "./answer-view.tsx";
import { IconButton } from "./buttons.tsx";
import { AttachmentView } from "./attachment-list.tsx";
import { Composer } from "./composer.tsx";
import { useOnceDrawn } from "./hooks.ts";
import { Icon } from "./icons.tsx";
import { languageOf } from "./language-of.ts";
import { memo } from "./memo.ts";
import type { SettingsTab } from "./settings-panel.tsx";
import { useStickToEnd } from "./stick-to-end.ts";

type TranscriptProps = {
  readonly playground: Playground;
  readonly state: PlaygroundState;
  /** These callbacks must stay the same between renders. */
  readonly onCode: (answer: AnswerTurn) => void;
  readonly onExperts: (answer: AnswerTurn) => void;
  readonly onSettings: (tab: SettingsTab) => void;
};

/** Memoized, so that a growing answer does not render all earlier turns at each word. */
const [MessageOnce, AnswerOnce] = [memo(UserMessage), memo(AnswerView)];

export function Transcript({ playground, state, onCode, onExperts, onSettings }: TranscriptProps) {
  const { conversation } = state;
  const { frame, isAtEnd, toEnd } = useStickToEnd(conversation.id, conversation.turns);
  const lastId = conversation.turns.at(-1)?.id;
  return (
    <div class="transcript" ref={frame}>
      <h1 class="hidden-visually">{conversation.title}</h1>
      <ol class="turns" aria-label="Conversation">
        {conversation.turns.map((turn, index) => (
          <li key={turn.id} class={`turn ${turn.type}`}>
            {turn.type === "user" ? (
              <MessageOnce
                turn={turn}
                isLast={conversation.turns.slice(index + 1).every(({ type }) => type === "answer")}
                playground={playground}
                isBusy={isBusy(state)}
                takesVideo={state.model?.takesVideo ?? false}
              />
            ) : (
              <AnswerOnce
                answer={turn}
                isLast={turn.id === lastId}
                isBusy={isBusy(state)}
                playground={playground}
                onCode={onCode}
                onExperts={onExperts}
                onSettings={onSettings}
              />
            )}
          </li>
        ))}
      </ol>
      {!isAtEnd && (
        <button type="button" class="to-end" onClick={toEnd}>
          <Icon name="down" /> Latest
        </button>
      )}
    </div>
  );
}

type MessageProps = {
  readonly turn: UserTurn;
  /** No message of the user follows. */
  readonly isLast: boolean;
  readonly playground: Playground;
  readonly isBusy: boolean;
  readonly takesVideo: boolean;
};

function UserMessage({ turn, isLast, playground, isBusy, takesVideo }: MessageProps) {
  const [isEditing, setEditing] = useState(false);
  const actions = useRef<HTMLDivElement>(null);
  const onceDrawn = useOnceDrawn();
  const close = () => {
    setEditing(false);
    onceDrawn(() => actions.current?.querySelector("button")?.focus());
  };
  if (isEditing) {
    return (
      <Composer
        label="Edit your message"
        initialText={turn.text}
        initialAttachments={turn.attachments}
        takesVideo={takesVideo}
        isRunning={isBusy}
        warning={isLast ? undefined : "Sending this deletes everything after it."}
        onSend={(text, attachments) => playground.edit(turn.id, text, attachments)}
        onCancel={close}
      />
    );
  }
  return (
    <>
      <h2 class="hidden-visually">You</h2>
      {turn.attachments.length > 0 && (
        <ul class="pictures" aria-label="Attachments">
          {turn.attachments.map((attachment) => (
            <li key={attachment.id}>
              <AttachmentView attachment={attachment} />
            </li>
          ))}
        </ul>
      )}
      {turn.text !== "" && (
        <div class="bubble" lang={languageOf(turn.text)}>
          {turn.text}
        </div>
      )}
      <div class="actions" ref={actions}>
        <IconButton icon="edit" label="Edit this message" disabled={isBusy} onClick={() => setEditing(true)} />
      </div>
    </>
  );
}
