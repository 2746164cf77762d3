// A dialog that holds the focus while it is there, and gives it back however it goes away.

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

type ModalProps = {
  readonly class: string;
  readonly title: string;
  /** The person wants it gone; whoever shows it takes it away. */
  readonly onClose: () => void;
  readonly children: ComponentChildren;
};

export function Modal({ class: name, title, onClose, children }: ModalProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const isPressedBeside = useRef(false);
  const isBeside = ({ clientX: x, clientY: y }: MouseEvent): boolean => {
    const { left, right, top, bottom } = dialog.current!.getBoundingClientRect();
    return x < left || x > right || y < top || y > bottom;
  };
  // Not useEffect: that one cleans up after the element has gone.
  useLayoutEffect(() => {
    const element = dialog.current!;
    element.showModal();
    element.addEventListener("close", onClose); // by Esc
    return () => {
      element.removeEventListener("close", onClose);
      element.close(); // what only vanishes gives no focus back
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class={name}
      aria-label={title}
      // A click on the backdrop is one on the dialog itself, as is one on its margins; and a text may be marked from within to there.
      onPointerDown={(event) => void (isPressedBeside.current = isBeside(event))}
      onClick={(event) => isPressedBeside.current && isBeside(event) && onClose()}
    >
      {children}
    </dialog>
  );
}
