// A column beside the conversation, or on narrow screens a dialog over it.

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { IconButton } from "./buttons.tsx";
import { Modal } from "./modal.tsx";

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
  const Frame = isOver ? Modal : Column;
  return (
    <Frame class={`panel ${isOver ? "over " : ""}${side}`} title={title} onClose={onClose}>
      {content}
    </Frame>
  );
}

type ColumnProps = { readonly class: string; readonly title: string; readonly children: ComponentChildren };

/** If it is closed while it has the focus, the button that opens it gets the focus. */
function Column({ class: name, title, children }: ColumnProps) {
  const column = useRef<HTMLElement>(null);
  useLayoutEffect(() => {
    const element = column.current!;
    return () => {
      const opener = document.querySelector<HTMLElement>(`.page-head [aria-label="${title}"]`);
      if (element.contains(document.activeElement)) opener?.focus();
    };
  }, []);
  return (
    <aside class={name} aria-label={title} ref={column}>
      {children}
    </aside>
  );
}
