// The conversations this browser keeps: open, rename, export, delete.

import { useEffect, useRef, useState } from "preact/hooks";
import type { ConversationSummary } from "../chat/conversation.ts";
import type { Playground, PlaygroundState } from "../chat/playground.ts";
import { IconButton } from "./buttons.tsx";
import { Icon } from "./icons.tsx";
import { saveFile } from "./save-file.ts";

type ConversationListProps = {
  readonly playground: Playground;
  readonly state: PlaygroundState;
  /** After one was chosen or begun. */
  readonly onChosen: () => void;
};

export function ConversationList({ playground, state, onChosen }: ConversationListProps) {
  const { summaries, conversation } = state;
  return (
    <nav class="conversations" aria-label="Conversations">
      <button type="button" class="button new" onClick={() => (playground.startNew(), onChosen())}>
        <Icon name="plus" /> New conversation
      </button>
      <ul>
        {summaries.map((summary) => (
          <Entry
            key={summary.id}
            summary={summary}
            isCurrent={summary.id === conversation.id}
            playground={playground}
            onChosen={onChosen}
          />
        ))}
      </ul>
      <p class="hint">Conversations stay in this browser. The server keeps none.</p>
    </nav>
  );
}

type EntryProps = {
  readonly summary: ConversationSummary;
  readonly isCurrent: boolean;
  readonly playground: Playground;
  readonly onChosen: () => void;
};

function Entry({ summary: { id, title }, isCurrent, playground, onChosen }: EntryProps) {
  const [mode, setMode] = useState<"shown" | "renaming" | "deleting">("shown");
  if (mode === "renaming") return <Renaming title={title} onDone={(name) => (void playground.rename(id, name), setMode("shown"))} />;
  if (mode === "deleting") {
    return (
      <li class="entry deleting">
        <span>Delete “{title}”?</span>
        <button type="button" class="button danger" ref={(button) => button?.focus()} onClick={() => void playground.remove(id)}>
          Delete
        </button>
        <button type="button" class="button" onClick={() => setMode("shown")}>
          Keep
        </button>
      </li>
    );
  }
  const exportIt = async () => {
    const whole = await playground.load(id);
    if (whole) saveFile(`${title.replaceAll(/[^\p{L}\p{N}]+/gu, "-")}.json`, JSON.stringify(whole, null, 2));
  };
  return (
    <li class={`entry ${isCurrent ? "current" : ""}`}>
      <button type="button" class="open" aria-current={isCurrent || undefined} onClick={() => (void playground.open(id), onChosen())}>
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

/** An empty name changes nothing. */
function Renaming({ title, onDone }: { readonly title: string; readonly onDone: (name: string) => void }) {
  const [name, setName] = useState(title);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.select(), []);
  return (
    <li class="entry">
      <form onSubmit={(event) => (event.preventDefault(), onDone(name))}>
        <input
          aria-label="Name of the conversation"
          value={name}
          ref={field}
          onInput={(event) => setName(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Escape") return;
            event.stopPropagation();
            event.preventDefault();
            onDone("");
          }}
          onBlur={() => onDone(name)}
        />
      </form>
    </li>
  );
}
