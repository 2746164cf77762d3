// A dialog over the middle of the page, with a title and a way out.

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { IconButton } from "./buttons.tsx";
import { closeOutside } from "./side-panel.tsx";

type SheetProps = { readonly title: string; readonly onClose: () => void; readonly children: ComponentChildren };

export function Sheet({ title, onClose, children }: SheetProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="sheet" aria-label={title} onClose={onClose} onClick={(event) => closeOutside(event, onClose)}>
      <div class="sheet-inside">
        <header class="panel-head">
          <h2>{title}</h2>
          <IconButton icon="close" label="Close" onClick={onClose} />
        </header>
        {children}
      </div>
    </dialog>
  );
}
