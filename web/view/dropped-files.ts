// Files dropped or pasted anywhere on the page, except on a form for a message.

import { useEffect, useState } from "preact/hooks";
import { pastedFrom } from "./attachments.ts";

/** The files that were last dropped or pasted (a new array each time), and whether files are being dragged over the page. */
export function useDroppedFiles(): { readonly dropped: readonly File[] | undefined; readonly isOver: boolean } {
  const [dropped, setDropped] = useState<readonly File[]>();
  const [isOver, setOver] = useState(false);
  useEffect(() => {
    const over = (event: DragEvent) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      setOver(true);
    };
    const leave = (event: DragEvent) => void (event.relatedTarget === null && setOver(false));
    const drop = (event: DragEvent) => {
      setOver(false);
      if (event.defaultPrevented || !event.dataTransfer?.types.includes("Files")) return; // a form took them, or there are none
      event.preventDefault(); // else the browser would navigate to the file
      setDropped([...event.dataTransfer.files]);
    };
    const paste = (event: ClipboardEvent) => {
      const { files, hasText } = pastedFrom(event.clipboardData); // the message field handles its own
      const isForField = hasText && event.target instanceof HTMLElement && event.target.matches("input, textarea");
      if (files.length > 0 && !isForField) setDropped(files);
    };
    document.addEventListener("paste", paste);
    document.addEventListener("dragover", over);
    document.addEventListener("dragleave", leave);
    document.addEventListener("drop", drop);
    return () => {
      document.removeEventListener("paste", paste);
      document.removeEventListener("dragover", over);
      document.removeEventListener("dragleave", leave);
      document.removeEventListener("drop", drop);
    };
  }, []);
  return { dropped, isOver };
}
