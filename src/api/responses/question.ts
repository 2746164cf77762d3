// Builds the model's input from a request: the stored conversation, the request's own items, its tools and its options.

import type { Chat, GenerationOptions } from "../../core/chat.ts";
import { type AppOptions, defaultLimits } from "../app-options.ts";
import { toChat, toGenerationOptions } from "../from-openai.ts";
import type { MediaParts } from "../media-parts.ts";
import { toOutputFormat } from "../output-format.ts";
import { contradiction } from "../schema-fields.ts";
import { toChatTerms, toOwnError, toOwnFormat } from "./chat-terms.ts";
import { type PlacedItem, toMessages } from "./conversation.ts";
import { toItems } from "./input-items.ts";
import type { ResponsesRequest } from "./request.ts";
import type { ResponseStore } from "./response-store.ts";
import { tellTools, type ToldTool } from "./tools.ts";

export type Question = {
  readonly chat: Chat;
  readonly generation: GenerationOptions;
  /** The request's own items. */
  readonly input: readonly PlacedItem[];
  readonly tools: readonly ToldTool[];
};

/** What is needed to read a question. `client` stands for an API key. */
export type Asking = {
  readonly store: ResponseStore;
  readonly client: string | undefined;
  readonly media: MediaParts;
  readonly options: Pick<AppOptions, "defaultThinking" | "generationDefaults">;
};

/** Throws RequestError, with fields of this API, for a request that is wrong or refers to something that is not stored. */
export async function readQuestion(request: ResponsesRequest, { store, client, media, options }: Asking): Promise<Question> {
  const input = placeInput(request, store, client);
  const history = request.previous_response_id === undefined ? [] : store.conversation(client, request.previous_response_id);
  const instructions = request.instructions ? [instructionsItem(request.instructions)] : [];
  const tools = tellTools(request.tools);
  const fields = toChatTerms(request, tools);
  try {
    const withoutMessages = await toChat({ ...fields, messages: [] }, options.defaultThinking, media);
    const format = toOutputFormat(fields, withoutMessages.toolUse);
    return {
      chat: { ...withoutMessages, messages: await toMessages([...instructions, ...history, ...input], media) },
      generation: {
        ...toGenerationOptions(fields, options.generationDefaults, client),
        ...(format && { format: toOwnFormat(format, tools) }),
      },
      input,
      tools,
    };
  } catch (error) {
    throw toOwnError(error, tools);
  }
}

function instructionsItem(content: string): PlacedItem {
  return { item: { type: "message", id: undefined, role: "system", content }, param: "instructions" };
}

/** As much as a request could send itself: thousands of references may name the same large item. */
const maxReferredBytes = defaultLimits.bodyBytes;

/** The request's own items, with references replaced by the items they name. */
function placeInput({ input }: ResponsesRequest, store: ResponseStore, client: string | undefined): PlacedItem[] {
  let referredBytes = 0;
  return toItems(input).map((item, index) => {
    const param = `input[${index}]`;
    if (item.type !== "item_reference") return { item, param };
    const referred = store.item(client, item, param);
    referredBytes += referred.bytes;
    if (referredBytes <= maxReferredBytes) return { item: referred.item, param };
    throw contradiction(`${param}.id`, `references to at most ${maxReferredBytes} bytes of items in one request, got more; send fewer`);
  });
}
