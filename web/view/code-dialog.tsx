// A request as code, to copy.

import { useEffect, useRef, useState } from "preact/hooks";
import { toSnippet, type SnippetLanguage, type SnippetRequest } from "../chat/snippets.ts";
import { IconButton } from "./buttons.tsx";
import { CodeBlock } from "./markdown.tsx";
import { closeOutside } from "./side-panel.tsx";
import { Tabs } from "./tabs.tsx";

const languages: readonly (readonly [SnippetLanguage, string])[] = [
  ["curl", "curl"],
  ["javascript", "JavaScript"],
  ["python", "Python"],
];

export function CodeDialog({ snippet, onClose }: { readonly snippet: SnippetRequest; readonly onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [language, setLanguage] = useState<SnippetLanguage>("curl");
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="sheet" aria-label="Request as code" onClose={onClose} onClick={(event) => closeOutside(event, onClose)}>
      <div class="sheet-inside">
        <header class="panel-head">
          <h2>Request as code</h2>
          <IconButton icon="close" label="Close" onClick={onClose} />
        </header>
        <Tabs label="Language" tabs={languages} chosen={language} onChoose={setLanguage}>
          <CodeBlock text={toSnippet(language, snippet)} language={language} />
        </Tabs>
        {snippet.attachments.length > 0 && <p class="hint">Pictures are read from files of these names in the current folder.</p>}
      </div>
    </dialog>
  );
}
