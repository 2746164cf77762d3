// Tells who hears the page, not sees it, that an answer began and what it says once it is whole. Word by word would be noise.

import type { PlaygroundState } from "../chat/playground.ts";

export function Announcer({ state: { conversation, run } }: { readonly state: PlaygroundState }) {
  return (
    <div class="hidden-visually" role="status" aria-live="polite">
      {message(conversation.turns.at(-1), run !== undefined)}
    </div>
  );
}

function message(last: PlaygroundState["conversation"]["turns"][number] | undefined, isRunning: boolean): string {
  if (last?.type !== "answer") return "";
  if (isRunning && last.text === "") return last.thinking === "" ? "Waiting for the answer" : "The model is thinking";
  if (isRunning) return "The model is answering";
  if (last.state === "stopped") return "Stopped";
  if (last.calls.length > 0) return `The model calls ${last.calls.map(({ name }) => name).join(", ")}`;
  return last.state === "done" ? `Answer: ${last.text}` : "";
}
