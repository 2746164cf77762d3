// The HTTP application: routes, and what holds for all of them (request id, log line, key, error envelope).

import { Hono, type Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { ChatService } from "../chat/complete.ts";
import { RequestError } from "../core/errors.ts";
import type { AppOptions } from "./app-options.ts";
import { requireApiKey } from "./auth.ts";
import { chatCompletions } from "./chat-completions.ts";
import { toErrorAnswer } from "./error-envelope.ts";
import { health } from "./health.ts";
import { modelRoutes } from "./models.ts";
import { type AppEnv, recordRequests } from "./request-record.ts";
import { detokenize, tokenize } from "./tokenize.ts";
import { version } from "./version.ts";

/** The app without a port: `serve` of @hono/node-server gives it one, tests call `app.request()`. */
export function createApp(service: ChatService, options: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.use(recordRequests(options.log));
  app.get("/health", health(options));
  app.all("/health", refuseMethod("GET"));
  app.use(requireApiKey(options.apiKeys));
  app.post("/v1/chat/completions", chatCompletions(service, options));
  app.all("/v1/chat/completions", refuseMethod("POST"));
  app.route("/v1/models", modelRoutes(options));
  app.all("/v1/models", refuseMethod("GET"));
  app.all("/v1/models/:id{.+}", refuseMethod("GET"));
  app.post("/tokenize", tokenize(service, options));
  app.all("/tokenize", refuseMethod("POST"));
  app.post("/detokenize", detokenize(service, options));
  app.all("/detokenize", refuseMethod("POST"));
  app.get("/version", version());
  app.all("/version", refuseMethod("GET"));
  app.notFound((c) => answerError(c, unknownRoute(c)));
  app.onError((error, c) => answerError(c, error));
  return app;
}

function answerError(c: Context<AppEnv>, error: Error): Response {
  const { status, headers, body } = toErrorAnswer(error);
  c.get("record").fail(error);
  return c.json(body, status as ContentfulStatusCode, headers);
}

function refuseMethod(allowed: "GET" | "POST") {
  return (c: Context): never => {
    c.header("allow", allowed);
    throw new RequestError(`expected ${allowed} ${c.req.path}, got ${c.req.method}`, { status: 405, code: "method_not_allowed" });
  };
}

function unknownRoute(c: Context): RequestError {
  return new RequestError(
    `there is no ${c.req.method} ${c.req.path.slice(0, 200)}; this server has POST /v1/chat/completions, GET /v1/models, POST /tokenize, POST /detokenize, GET /version and GET /health`,
    { status: 404, code: "unknown_url" },
  );
}
