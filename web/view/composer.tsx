// The form for a message: text, files, and buttons for settings. Also used to edit a sent message.

import { useId } from "preact/hooks";
import type { Attachment } from "../chat/conversation.ts";
import type { MessageRefusal } from "../chat/playground-state.ts";
import { AttachButton, AttachmentList } from "./attachment-list.tsx";
import { pastedFrom } from "./attachments.ts";
import { IconButton } from "./buttons.tsx";
import { isComposing } from "./composing.ts";
import { useMedia } from "./hooks.ts";
import { Icon } from "./icons.tsx";
import { useDraft } from "./use-draft.ts";

export type ComposerProps = {
  readonly label: string;
  readonly initialText: string;
  readonly initialAttachments?: readonly Attachment[];
  readonly takesVideo: boolean;
  readonly isRunning: boolean;
  readonly conversationId?: string;
  /** Sends the message, or returns why not; the draft then stays. */
  readonly onSend: (text: string, attachments: readonly Attachment[]) => MessageRefusal | undefined;
  readonly onType?: (text: string) => void;
  readonly onStop?: () => void;
  readonly onCancel?: () => void;
  /** Files dropped elsewhere on the page. */
  readonly dropped?: readonly File[] | undefined;
  /** What sending will do besides. */
  readonly warning?: string | undefined;
  /** Shown below the text, next to the attach button. */
  readonly children?: preact.ComponentChildren;
  readonly id?: string;
};

export function Composer(props: ComposerProps) {
  const { label, isRunning, onStop, onCancel } = props;
  const draft = useDraft(props);
  const warningId = useId();
  const hasKeyboard = useMedia("(hover: hover)");
  const isStoppable = isRunning && onStop !== undefined;
  const onKeyDown = (event: KeyboardEvent) => {
    if (isComposing(event)) return;
    if (event.key === "Escape" && onCancel) {
      event.stopPropagation();
      onCancel();
    }
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    draft.send();
  };
  return (
    <form class="composer" aria-label={label} onSubmit={(event) => (event.preventDefault(), draft.send())} {...takeFiles(draft.add)}>
      <AttachmentList attachments={draft.attachments} isReading={draft.isReading} onRemove={draft.remove} />
      <textarea
        ref={draft.field}
        id={props.id}
        class="composer-text"
        rows={1}
        enterkeyhint="send"
        aria-label={label}
        aria-describedby={props.warning && warningId}
        placeholder={isStoppable && hasKeyboard ? "Press Esc to stop the answer" : "Ask anything, with or without a picture"}
        value={draft.text}
        onInput={(event) => draft.type(event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      {props.warning && (
        <p class="warning" id={warningId}>
          {props.warning}
        </p>
      )}
      {draft.complaint !== "" && (
        <p class="complaint" role="alert">
          <Icon name="alert" /> {draft.complaint}
        </p>
      )}
      <div class="composer-tools">
        <AttachButton takesVideo={props.takesVideo} onFiles={(files) => void draft.add(files)} />
        {props.children}
        <span class="spring" />
        {onCancel && (
          <button type="button" class="button" onClick={onCancel}>
            Cancel
          </button>
        )}
        <SendButton isReady={draft.canSend} onStop={isStoppable ? onStop : undefined} />
      </div>
    </form>
  );
}

/** Files that are pasted or dropped here are for this message, not for the one at the end of the page. */
function takeFiles(add: (files: readonly File[]) => unknown) {
  return {
    onPaste: (event: ClipboardEvent) => {
      const { files, hasText } = pastedFrom(event.clipboardData);
      if (files.length === 0) return;
      event.stopPropagation();
      if (!hasText) event.preventDefault();
      add(files);
    },
    onDrop: (event: DragEvent) => {
      const files = [...(event.dataTransfer?.files ?? [])];
      if (files.length === 0) return; // a text
      event.preventDefault(); // tells the page, too
      add(files);
    },
  };
}

function SendButton({ isReady, onStop }: { readonly isReady: boolean; readonly onStop: (() => void) | undefined }) {
  if (onStop) return <IconButton class="send" icon="stop" label="Stop the answer (Esc)" onClick={onStop} />;
  return (
    <button type="submit" class="icon-button send" title="Send (Enter)" aria-label="Send" disabled={!isReady}>
      <Icon name="send" />
    </button>
  );
}
