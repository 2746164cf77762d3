// GET /v1/models and GET /v1/models/{id}: the one model this server serves, for OpenAI's clients and Anthropic's.

import type { Handler } from "hono";
import { RequestError } from "../core/errors.ts";
import type { AppOptions } from "./app-options.ts";
import { isAnthropicRequest } from "./messages/error-envelope.ts";
import { toModelInfo, toModelPage } from "./messages/model-info.ts";

function modelCard({ modelId, created, contextLength, takesVideoFiles, exposesRouting }: AppOptions) {
  return {
    id: modelId,
    object: "model",
    created,
    owned_by: "ernie-vl",
    context_length: contextLength,
    input_modalities: ["text", "image", ...(takesVideoFiles ? ["video"] : [])],
    output_modalities: ["text"],
    ...(exposesRouting && { routing: true }),
  };
}

export function listModels(options: AppOptions): Handler {
  return (c) => c.json(isAnthropicRequest(c) ? toModelPage(options) : { object: "list", data: [modelCard(options)] });
}

export function showModel(options: AppOptions): Handler {
  return (c) => {
    refuseOtherModel(c.req.param("id"), options.modelId);
    return c.json(isAnthropicRequest(c) ? toModelInfo(options) : modelCard(options));
  };
}

/** A request need not name the model, but may not name another. */
export function refuseOtherModel(id: string | undefined, served: string): void {
  if (id !== undefined && id !== served) throw unknownModel(id, served);
}

function unknownModel(id: string, served: string): RequestError {
  const shown = id.length > 100 ? `${id.slice(0, 100)}…` : id;
  return new RequestError(`model: expected "${served}", the model this server has, got ${JSON.stringify(shown)}`, {
    status: 404,
    code: "model_not_found",
    param: "model",
  });
}
