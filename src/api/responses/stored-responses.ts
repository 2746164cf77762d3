// The routes for one response by its id: read it or its input, delete it, cancel it.

import type { Context, Handler } from "hono";
import { z } from "zod";
import { RequestError } from "../../core/errors.ts";
import type { AppEnv } from "../request-record.ts";
import { oneOf, parseFields } from "../schema-fields.ts";
import type { ContentPart, Item } from "./input-items.ts";
import type { ResponseStore } from "./response-store.ts";

export function showResponse(store: ResponseStore): Handler<AppEnv> {
  return (c) => {
    if (c.req.query("stream") === "true") {
      throw new RequestError('stream: expected false, because a stored response cannot be streamed, got "true"; leave it out', {
        code: "unsupported_parameter",
        param: "stream",
      });
    }
    return c.json(store.get(c.get("cacheSalt"), idOf(c)).response);
  };
}

export function deleteResponse(store: ResponseStore): Handler<AppEnv> {
  return (c) => {
    store.delete(c.get("cacheSalt"), idOf(c));
    return c.json({ id: idOf(c), object: "response", deleted: true });
  };
}

export function cancelResponse(store: ResponseStore): Handler<AppEnv> {
  return (c) => c.json(store.cancel(c.get("cacheSalt"), idOf(c)));
}

const pageSize = z
  .string()
  .regex(/^\d{1,3}$/, "an integer from 1 to 100")
  .transform(Number)
  .refine((size) => size >= 1 && size <= 100, "an integer from 1 to 100")
  .meta({ type: "integer", minimum: 1, maximum: 100, pattern: undefined });

/** The query of GET /v1/responses/{id}/input_items. */
export const pageFields = z.object({
  limit: pageSize.default(20).describe("The most items to return."),
  order: oneOf("asc", "desc").default("desc").describe("`asc`: oldest first; `desc`: newest first."),
  after: z.string().optional().describe("Starts after the item with this id. For the next page, send the `last_id` of this one."),
});

export function listInputItems(store: ResponseStore): Handler<AppEnv> {
  return (c) => {
    const { input } = store.get(c.get("cacheSalt"), idOf(c));
    const { limit, order, after } = parseFields(pageFields, c.req.query());
    const items = (order === "asc" ? input : input.toReversed()).map(toListedItem);
    const start = items.findIndex(({ id }) => id === after) + 1; // an unknown id: starts with the first item
    const data = items.slice(start, start + limit);
    const [first_id, last_id] = [data[0]?.id ?? null, data.at(-1)?.id ?? null];
    return c.json({ object: "list", data, first_id, last_id, has_more: start + limit < items.length });
  };
}

/** Adds the keys that clients expect on every item. */
function toListedItem(item: Item) {
  const status = "completed" as const;
  if ((item.type === "function_call_output" || item.type === "custom_tool_call_output") && typeof item.output !== "string") {
    return { ...item, output: item.output.map(toListedPart), status };
  }
  if (item.type !== "message") return { ...item, status };
  const parts: readonly ContentPart[] = typeof item.content === "string" ? [{ type: "input_text", text: item.content }] : item.content;
  const own = item.role === "assistant" ? parts.map(toOutputPart) : parts; // clients may send answers back as input_text
  return { ...item, content: own.map(toListedPart), status };
}

function toOutputPart(part: ContentPart): ContentPart {
  return part.type === "input_text" ? { ...part, type: "output_text" } : part;
}

function toListedPart(part: ContentPart) {
  if (part.type === "input_image") return { ...part, detail: part.detail ?? "auto" };
  return part.type === "output_text" ? { ...part, annotations: [], logprobs: [] } : part;
}

function idOf(c: Context<AppEnv>): string {
  return c.req.param("id") ?? "";
}
