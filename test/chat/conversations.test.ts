// Random conversations, with the prompts that Hugging Face transformers makes of them (scripts/make-conversation-fixtures.py).

import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { encodePrompt } from "../../src/chat/encode-prompt.ts";
import { loadTemplate } from "../../src/chat/template.ts";
import { loadTokenizer } from "../../src/chat/tokenizer.ts";
import type { ImagePart, ShownChat, ShownPart, Tool, VideoPart } from "../../src/core/chat.ts";
import { fixtures, makeImage, nanoFolder, nanoTokens } from "./nano.ts";
import { builtInTemplate, show } from "./template-fixture.ts";

type Grid = [frameCount: number, patchRows: number, patchColumns: number];
type Part = { type: "text"; text: string } | { type: "image" | "video"; grid: Grid };
type Message = { role: "system" | "user" | "assistant" | "tool"; content: Part[]; reasoning?: string; arguments?: object };
type Conversation = {
  messages: Message[];
  tools: Tool[] | null;
  thinking: boolean;
  prompts: Partial<Record<"nano" | "pt" | "thinking", string>>;
  nano: { ids: number[]; positions: number[][]; positionDelta: number };
};

const file = gunzipSync(readFileSync(`${fixtures}conversations.json.gz`)).toString();
const { conversations } = JSON.parse(file) as { conversations: Conversation[] };

/** The size of a picture or video takes the place of its name, so that fakes can load it. */
function toPart(part: Part): ShownPart {
  if (part.type === "text") return part;
  const param = part.grid.join("x");
  if (part.type === "image") return { type: "image", bytes: new Uint8Array(), param };
  return { type: "video", source: { type: "frames", files: [] }, param };
}

function toChat({ messages, tools, thinking }: Conversation): ShownChat {
  return {
    thinking,
    messages: messages.map(({ role, content, reasoning, arguments: args }) => ({
      role,
      content: content.map(toPart),
      ...(reasoning !== undefined && { reasoning }),
      ...(args && { toolCalls: [{ id: "call", name: "f-2", arguments: JSON.stringify(args) }] }),
    })),
    ...(tools && { toolUse: { tools, choice: "auto", allowsParallelCalls: true } }),
  };
}

async function loadVisual({ param }: Pick<ImagePart | VideoPart, "param">) {
  const [frameCount, patchRows, patchColumns] = param.split("x").map(Number) as Grid;
  return { ...makeImage(patchRows, patchColumns), frameCount };
}

describe("random conversations", () => {
  const templates = { nano: loadTemplate(nanoFolder), pt: builtInTemplate("pt"), thinking: builtInTemplate("thinking") };

  test.each(["nano", "pt", "thinking"] as const)("are rendered as by transformers with the template %s", (name) => {
    const rendered = conversations.filter(({ prompts }) => prompts[name] !== undefined);
    expect(rendered.length).toBeGreaterThan(40);
    for (const item of rendered) expect(show(templates[name].render(toChat(item)))).toBe(item.prompts[name]);
  });

  test("have the ids and positions of transformers", async () => {
    const deps = {
      tokenizer: loadTokenizer(nanoFolder),
      template: templates.nano,
      tokens: nanoTokens,
      loadImage: (_: Uint8Array, request: { readonly param: string }) => loadVisual(request),
      loadVideo: loadVisual,
      contextLength: 10_000,
    };
    for (const item of conversations) {
      const { tokenIds, positions, positionDelta } = await encodePrompt(toChat(item), deps);
      expect([...tokenIds]).toEqual(item.nano.ids);
      expect([...positions]).toEqual(item.nano.positions.flat());
      expect(positionDelta).toBe(item.nano.positionDelta);
    }
  });
});
