// The routes of the Responses API, which share one store.

import type { Handler } from "hono";
import type { ChatService } from "../../chat/complete.ts";
import { type AppOptions, defaultResponseStore } from "../app-options.ts";
import type { AppEnv } from "../request-record.ts";
import { createResponse } from "./create-response.ts";
import { ResponseStore } from "./response-store.ts";
import { cancelResponse, deleteResponse, listInputItems, showResponse } from "./stored-responses.ts";

export function responseRoutes(
  service: ChatService,
  options: AppOptions,
): (readonly [method: "GET" | "POST" | "DELETE", path: string, handler: Handler<AppEnv>])[] {
  const store = new ResponseStore(options.responseStore ?? defaultResponseStore);
  return [
    ["POST", "/v1/responses", createResponse(service, options, store)],
    ["GET", "/v1/responses/:id", showResponse(store)],
    ["DELETE", "/v1/responses/:id", deleteResponse(store)],
    ["POST", "/v1/responses/:id/cancel", cancelResponse(store)],
    ["GET", "/v1/responses/:id/input_items", listInputItems(store)],
  ];
}
