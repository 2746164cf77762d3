// A column beside the conversation; on narrow screens a dialog over it, which keeps the focus inside and gives it back.

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { IconButton } from "./buttons.tsx";

type SidePanelProps = {
  readonly side: "left" | "right";
  readonly title: string;
  readonly isOpen: boolean;
  /** Over the page instead of beside it. */
  readonly isOver: boolean;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
};

export function SidePanel({ side, title, isOpen, isOver, onClose, children }: SidePanelProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (isOver && isOpen && dialog.current?.open === false) dialog.current.showModal();
  }, [isOver, isOpen]);
  if (!isOpen) return null;
  const content = (
    <>
      <header class="panel-head">
        <h2>{title}</h2>
        <IconButton icon="close" label={`Close ${title.toLowerCase()}`} onClick={onClose} />
      </header>
      {children}
    </>
  );
  if (!isOver) {
    return (
      <aside class={`panel ${side}`} aria-label={title}>
        {content}
      </aside>
    );
  }
  return (
    <dialog
      ref={dialog}
      class={`panel over ${side}`}
      aria-label={title}
      onClose={onClose}
      onClick={(event) => closeOutside(event, onClose)}
    >
      {content}
    </dialog>
  );
}

/** A click on a dialog's backdrop is a click on the dialog itself. */
export function closeOutside(event: MouseEvent, onClose: () => void): void {
  if (event.target === event.currentTarget) onClose();
}
