// The routes of the Responses API, which share one store.

import type { ChatService } from "../../chat/complete.ts";
import { defaultResponseStore, type RouteOptions } from "../app-options.ts";
import type { Route } from "../route.ts";
import { countInputTokens } from "./count-input-tokens.ts";
import { createResponse } from "./create-response.ts";
import { ResponseStore } from "./response-store.ts";
import { cancelResponse, deleteResponse, listInputItems, showResponse } from "./stored-responses.ts";

export function responseRoutes(service: ChatService, options: RouteOptions): Route[] {
  const store = new ResponseStore(options.responseStore ?? defaultResponseStore);
  return [
    ["POST", "/v1/responses", createResponse(service, options, store)],
    ["POST", "/v1/responses/input_tokens", countInputTokens(service, options, store)],
    ["GET", "/v1/responses/:id", showResponse(store)],
    ["DELETE", "/v1/responses/:id", deleteResponse(store)],
    ["POST", "/v1/responses/:id/cancel", cancelResponse(store)],
    ["GET", "/v1/responses/:id/input_items", listInputItems(store)],
  ];
}
