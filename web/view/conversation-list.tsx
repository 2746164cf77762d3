// The conversations saved in this browser: open, rename, export, delete.

import type { RefObject } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { type ConversationSummary, exportName } from "../chat/conversation.ts";
import type { Playground } from "../chat/playground.ts";
import type { PlaygroundState } from "../chat/playground-state.ts";
import { IconButton } from "./buttons.tsx";
import { useOnceDrawn } from "./hooks.ts";
import { Icon } from "./icons.tsx";
import { isComposing } from "./composing.ts";
import { languageOf } from "./language-of.ts";
import { memo } from "./memo.ts";
import { saveFile } from "./save-file.ts";

type ConversationListProps = {
  readonly playground: Playground;
  readonly state: PlaygroundState;
  /** Called after a conversation was opened or started. Must stay the same between renders. */
  readonly onChosen: () => void;
};

/** Memoized, so that a growing answer does not render a long list at each word. */
const EntriesOnce = memo(Entries);

export function ConversationList({ playground, state, onChosen }: ConversationListProps) {
  const { summaries, conversation } = state;
  const newButton = useRef<HTMLButtonElement>(null);
  return (
    <nav class="conversations" aria-label="Conversations">
      <button type="button" class="button" ref={newButton} onClick={() => (playground.startNew(), onChosen())}>
        <Icon name="plus" /> New conversation
      </button>
      <EntriesOnce summaries={summaries} currentId={conversation.id} playground={playground} onChosen={onChosen} newButton={newButton} />
      <p class="hint">
        {state.keeping === "tab"
          ? "This browser saves nothing: your conversations are lost when you close this tab."
          : "Conversations are saved in this browser only. The server keeps none."}
      </p>
    </nav>
  );
}

type EntriesProps = Pick<ConversationListProps, "playground" | "onChosen"> & {
  readonly summaries: readonly ConversationSummary[];
  readonly currentId: string;
  /** Gets the focus of a deleted entry. */
  readonly newButton: RefObject<HTMLButtonElement | null>;
};

function Entries({ summaries, currentId, playground, onChosen, newButton }: EntriesProps) {
  return (
    <ul>
      {summaries.map((summary) => (
        <Entry
          key={summary.id}
          summary={summary}
          isCurrent={summary.id === currentId}
          playground={playground}
          onChosen={onChosen}
          onDeleted={() => newButton.current?.focus()}
        />
      ))}
    </ul>
  );
}

type EntryProps = {
  readonly summary: ConversationSummary;
  readonly isCurrent: boolean;
  readonly playground: Playground;
  readonly onChosen: () => void;
  readonly onDeleted: () => void;
};

function Entry({ summary: { id, title }, isCurrent, playground, onChosen, onDeleted }: EntryProps) {
  const [mode, setMode] = useState<"shown" | "renaming" | "deleting">("shown");
  const opener = useRef<HTMLButtonElement>(null);
  const onceDrawn = useOnceDrawn();
  const showAgain = () => {
    setMode("shown");
    onceDrawn(() => opener.current?.focus());
  };
  if (mode === "renaming") {
    const rename = (name: string) => void playground.rename(id, name);
    return <Renaming title={title} onName={(name) => (rename(name), showAgain())} onLeave={(name) => (rename(name), setMode("shown"))} />;
  }
  if (mode === "deleting") {
    return <Deleting title={title} onDelete={() => void playground.remove(id).then(onDeleted)} onKeep={showAgain} />;
  }
  const exportIt = async () => {
    const whole = await playground.load(id);
    if (!whole) return;
    const content = new Blob([JSON.stringify(whole, null, 2)], { type: "application/json" });
    saveFile(exportName(title), content);
  };
  return (
    <li class={`entry ${isCurrent ? "current" : ""}`}>
      <button
        type="button"
        class="open"
        lang={languageOf(title)}
        ref={opener}
        aria-current={isCurrent || undefined}
        onClick={() => (void playground.open(id), onChosen())}
      >
        {title}
      </button>
      <span class="entry-tools">
        <IconButton icon="edit" label={`Rename ${title}`} onClick={() => setMode("renaming")} />
        <IconButton icon="download" label={`Export ${title} as JSON`} onClick={() => void exportIt()} />
        <IconButton icon="trash" label={`Delete ${title}`} onClick={() => setMode("deleting")} />
      </span>
    </li>
  );
}

type DeletingProps = { readonly title: string; readonly onDelete: () => void; readonly onKeep: () => void };

function Deleting({ title, onDelete, onKeep }: DeletingProps) {
  const button = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => button.current?.focus(), []); // before the next key
  return (
    <li class="entry deleting">
      <span>Delete “{title}”?</span>
      <button type="button" class="button danger" ref={button} onClick={onDelete}>
        Delete
      </button>
      <button type="button" class="button" onClick={onKeep}>
        Cancel
      </button>
    </li>
  );
}

type RenamingProps = {
  readonly title: string;
  /** Called on Enter, or with "" on Esc; an empty name changes nothing. */
  readonly onName: (name: string) => void;
  /** Called when the focus moved elsewhere; it must stay there. */
  readonly onLeave: (name: string) => void;
};

function Renaming({ title, onName, onLeave }: RenamingProps) {
  const [name, setName] = useState(title);
  const field = useRef<HTMLInputElement>(null);
  const isDone = useRef(false); // removing the field also fires a blur event
  const end = (tell: () => void) => {
    if (isDone.current) return;
    isDone.current = true;
    tell();
  };
  useLayoutEffect(() => field.current?.select(), []); // before the next key
  return (
    <li class="entry">
      <form onSubmit={(event) => (event.preventDefault(), end(() => onName(name)))}>
        <input
          aria-label="Conversation name"
          value={name}
          ref={field}
          onInput={(event) => setName(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Escape" || isComposing(event)) return;
            event.stopPropagation();
            event.preventDefault();
            end(() => onName(""));
          }}
          onBlur={() => end(() => onLeave(name))}
        />
      </form>
    </li>
  );
}
