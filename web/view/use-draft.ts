// The message that is being written, with its attachments.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { MessageRefusal } from "../chat/playground-state.ts";
import { maxRequestBytes } from "../chat/request.ts";
import { readFiles } from "./attachments.ts";
import type { ComposerProps } from "./composer.tsx";

/** The draft and the actions on it. */
export function useDraft({
  initialText,
  initialAttachments = [],
  takesVideo,
  isRunning,
  conversationId,
  onSend,
  onType,
  onCancel,
  dropped,
}: ComposerProps) {
  const [text, setText] = useState(initialText);
  const [attachments, setAttachments] = useState(initialAttachments);
  const [complaint, setComplaint] = useState("");
  const [readingCount, setReadingCount] = useState(0);
  const field = useRef<HTMLTextAreaElement>(null);
  /** Enter was pressed before the files were read. */
  const isSendWanted = useRef(false);
  const isReading = readingCount > 0;
  // Files that are still being read belong to this message, not to the next.
  const canSend = !isReading && !isRunning && (text.trim() !== "" || attachments.length > 0);
  const add = async (files: readonly File[]) => {
    field.current?.focus(); // now, not after reading: by then the user may be elsewhere
    setReadingCount((count) => count + 1);
    const read = await readFiles(files, takesVideo);
    setReadingCount((count) => count - 1);
    setAttachments((before) => [...before, ...read.attachments]);
    setComplaint(read.refusals.join(" "));
    if (read.refusals.length > 0) isSendWanted.current = false; // it would be another message
  };
  const type = (typed: string) => {
    isSendWanted.current = false;
    setText(typed);
    onType?.(typed);
  };
  const send = () => {
    isSendWanted.current = isReading;
    if (!canSend) return;
    const refusal = onSend(text, attachments);
    setComplaint(refusal ? describeRefusal(refusal) : "");
    if (refusal) return;
    type("");
    setAttachments([]);
  };
  const remove = (id: string) => {
    setAttachments((before) => before.filter((attachment) => attachment.id !== id));
    field.current?.focus();
  };
  useLayoutEffect(() => fitHeight(field.current!), [text]);
  // On a touch screen, focusing opens the keyboard over half of the page, so it is focused only for editing.
  const isTouch = matchMedia("(pointer: coarse)").matches;
  // In a layout effect, before the next key: the clicked edit button is gone, and Enter would be lost.
  useLayoutEffect(() => void ((onCancel || !isTouch) && field.current?.focus()), []);
  // The clicked button (a sample, “Try again”) may be gone, and the focus with it.
  useEffect(() => void (isRunning && !isTouch && document.activeElement === document.body && field.current?.focus()), [isRunning]);
  // It is not about another conversation, nor about what is asked otherwise (a sample).
  useEffect(() => setComplaint(""), [conversationId]);
  useEffect(() => void (isRunning && setComplaint("")), [isRunning]);
  useEffect(() => void (dropped && add(dropped)), [dropped]);
  useLayoutEffect(() => void (!isReading && isSendWanted.current && send()), [isReading]);
  return { text, attachments, complaint, field, isReading, canSend, add, type, send, remove };
}

/** For browsers without `field-sizing`. The form keeps its height while the field is measured, so that the conversation does not jump. */
function fitHeight(field: HTMLTextAreaElement): void {
  if (CSS.supports("field-sizing", "content")) return;
  const form = field.form!;
  form.style.minHeight = `${form.offsetHeight}px`;
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
  form.style.minHeight = "";
}

function describeRefusal(refusal: MessageRefusal): string {
  if (refusal === "too-large") {
    const limit = `${maxRequestBytes / 2 ** 20} MiB`;
    return `Not sent: the files in this conversation exceed the limit of ${limit} per request. Remove one, or start a new conversation.`;
  }
  const { tab, mistake } = refusal;
  const place = mistake.line === undefined ? "" : ` (line ${mistake.line}, column ${mistake.column})`;
  return `Not sent: the ${tab === "format" ? "JSON schema" : "list of tools"} has an error${place}. ${mistake.message}`;
}
