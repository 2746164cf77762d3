// Where a message is written: text, pictures, and what it is sent with. Also used to edit a message that was sent.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Attachment } from "../chat/conversation.ts";
import type { Refusal } from "../chat/playground.ts";
import { readFiles } from "./attachments.ts";
import { IconButton } from "./buttons.tsx";
import { Icon } from "./icons.tsx";

export type ComposerProps = {
  readonly label: string;
  readonly initialText: string;
  readonly initialAttachments?: readonly Attachment[];
  readonly takesVideo: boolean;
  readonly isRunning: boolean;
  /** Takes the message, or says why not; then everything stays as it is. */
  readonly onSend: (text: string, attachments: readonly Attachment[]) => Refusal | undefined;
  readonly onType?: (text: string) => void;
  readonly onStop?: () => void;
  readonly onCancel?: () => void;
  /** Files dropped anywhere on the page. */
  readonly dropped?: readonly File[] | undefined;
  /** Below the text, beside the button that attaches. */
  readonly children?: preact.ComponentChildren;
  readonly id?: string;
};

export function Composer(props: ComposerProps) {
  const { label, isRunning, onStop, onCancel } = props;
  const draft = useDraft(props);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape" && onCancel) {
      event.stopPropagation();
      onCancel();
    }
    // While an input method composes, Enter chooses a word.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    draft.send();
  };
  const onPaste = (event: ClipboardEvent) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    void draft.add(files);
  };
  return (
    <form class="composer" aria-label={label} onSubmit={(event) => (event.preventDefault(), draft.send())}>
      <AttachmentList attachments={draft.attachments} onRemove={draft.remove} />
      <textarea
        ref={draft.field}
        id={props.id}
        class="composer-text"
        rows={1}
        aria-label={label}
        placeholder={isRunning ? "Esc stops the answer" : "Ask about a picture, or anything"}
        value={draft.text}
        onInput={(event) => draft.type(event.currentTarget.value)}
        onKeyDown={onKeyDown}
        onPaste={onPaste}
      />
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
        {isRunning && onStop ? (
          <IconButton class="send" icon="stop" label="Stop the answer (Esc)" onClick={onStop} />
        ) : (
          <button type="submit" class="icon-button send" title="Send (Enter)" aria-label="Send" disabled={draft.isEmpty || isRunning}>
            <Icon name="send" />
          </button>
        )}
      </div>
    </form>
  );
}

/** The message that is being written, and what can be done with it. */
function useDraft({ initialText, initialAttachments = [], takesVideo, isRunning, onSend, onType, onCancel, dropped }: ComposerProps) {
  const [text, setText] = useState(initialText);
  const [attachments, setAttachments] = useState(initialAttachments);
  const [complaint, setComplaint] = useState("");
  const field = useRef<HTMLTextAreaElement>(null);
  const isEmpty = text.trim() === "" && attachments.length === 0;
  const add = async (files: readonly File[]) => {
    const read = await readFiles(files, takesVideo);
    setAttachments((before) => [...before, ...read.attachments]);
    setComplaint(read.refusals.join(" "));
    field.current?.focus();
  };
  const type = (typed: string) => {
    setText(typed);
    onType?.(typed);
  };
  const send = () => {
    if (isEmpty || isRunning) return;
    const refusal = onSend(text, attachments);
    setComplaint(refusal ? describeRefusal(refusal) : "");
    if (refusal) return;
    type("");
    setAttachments([]);
  };
  const remove = (id: string) => {
    setAttachments(attachments.filter((attachment) => attachment.id !== id));
    field.current?.focus();
  };
  useLayoutEffect(() => fitHeight(field.current!), [text]);
  // On a touch screen the focus would bring up the keyboard, over half of the page; who edits has asked for it.
  useEffect(() => void ((onCancel || !matchMedia("(pointer: coarse)").matches) && field.current?.focus()), []);
  useEffect(() => void (dropped && add(dropped)), [dropped]);
  return { text, attachments, complaint, field, isEmpty, add, type, send, remove };
}

/** For browsers without `field-sizing`. */
function fitHeight(field: HTMLTextAreaElement): void {
  if (CSS.supports("field-sizing", "content")) return;
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
}

function describeRefusal({ tab, mistake }: Refusal): string {
  const place = mistake.line === undefined ? "" : ` (line ${mistake.line}, column ${mistake.column})`;
  return `Not sent: the ${tab === "format" ? "JSON schema" : "list of tools"} has a mistake${place}. ${mistake.message}`;
}

function AttachButton({ takesVideo, onFiles }: { readonly takesVideo: boolean; readonly onFiles: (files: File[]) => void }) {
  const chooser = useRef<HTMLInputElement>(null);
  const label = takesVideo ? "Add pictures or a video" : "Add pictures";
  return (
    <>
      <input
        ref={chooser}
        type="file"
        hidden
        multiple
        aria-label={label}
        accept={takesVideo ? "image/*,video/*" : "image/*"}
        onChange={({ currentTarget }) => {
          onFiles([...(currentTarget.files ?? [])]);
          currentTarget.value = ""; // the same file may be chosen again
        }}
      />
      <IconButton icon="attach" label={label} onClick={() => chooser.current?.click()} />
    </>
  );
}

function AttachmentList({
  attachments,
  onRemove,
}: {
  readonly attachments: readonly Attachment[];
  readonly onRemove: (id: string) => void;
}) {
  if (attachments.length === 0) return null;
  return (
    <ul class="attachments" aria-label="Attached">
      {attachments.map((attachment) => (
        <li key={attachment.id}>
          <AttachmentView attachment={attachment} />
          <IconButton class="remove" icon="close" label={`Remove ${attachment.name}`} onClick={() => onRemove(attachment.id)} />
        </li>
      ))}
    </ul>
  );
}

/** A picture or video as far as the browser can show it, else its name. */
export function AttachmentView({ attachment: { kind, name, url } }: { readonly attachment: Attachment }) {
  const [isUnknown, setUnknown] = useState(false);
  if (isUnknown) return <span class="file-name">{name}</span>;
  if (kind === "video") return <video src={url} muted controls preload="metadata" aria-label={name} onError={() => setUnknown(true)} />;
  return <img src={url} alt={name} onError={() => setUnknown(true)} />;
}
