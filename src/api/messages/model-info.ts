// The one model this server serves, as Anthropic's clients list it.

import type { AppOptions } from "../app-options.ts";

type ModelFacts = Pick<AppOptions, "modelId" | "created" | "contextLength">;

export function toModelInfo({ modelId, created, contextLength }: ModelFacts) {
  return {
    type: "model" as const,
    id: modelId,
    display_name: modelId,
    created_at: new Date(created * 1000).toISOString(),
    max_input_tokens: contextLength,
    max_tokens: contextLength,
    capabilities: null,
    lifecycle: "active" as const,
    line: null,
    deprecated_at: null,
    retires_at: null,
  };
}

export function toModelPage(options: ModelFacts) {
  return { data: [toModelInfo(options)], has_more: false, first_id: options.modelId, last_id: options.modelId };
}
