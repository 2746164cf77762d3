// The HTTP application: routes, and what all of them share (request id, log line, key, error envelope).

import { Hono, type Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { ChatService } from "../chat/complete.ts";
import { RequestError } from "../core/errors.ts";
import { WorkGate } from "../core/work-gate.ts";
import { type AppOptions, defaultLimits, type RouteOptions } from "./app-options.ts";
import { requireApiKey } from "./auth.ts";
import { chatCompletions } from "./chat-completions.ts";
import { completions } from "./completions.ts";
import { allowOrigins } from "./cors.ts";
import { toErrorAnswer } from "./error-envelope.ts";
import { health, live } from "./health.ts";
import { exposeMetrics } from "./metrics-route.ts";
import { isAnthropicRequest, toMessagesError } from "./messages/error-envelope.ts";
import { countTokens, createMessage } from "./messages/messages.ts";
import { listModels, showModel } from "./models.ts";
import type { ListedRoute } from "./openapi/document.ts";
import { documentRoutes } from "./openapi/routes.ts";
import { refuseForeignNames } from "./local-names.ts";
import { type AppEnv, clientGoneStatus, recordRequests } from "./request-record.ts";
import { responseRoutes } from "./responses/routes.ts";
import { type Route, toPathTemplate } from "./route.ts";
import { detokenize, tokenize } from "./tokenize.ts";
import { version } from "./version.ts";
import { webRoutes } from "./web-page.ts";

/** Routes that need no key. */
function openRoutes(options: RouteOptions): Route[] {
  return [
    ["GET", "/health", health(options)],
    ["GET", "/health/ready", health(options)],
    ["GET", "/health/live", live()],
    ...(options.webFolder === undefined ? [] : webRoutes(options.webFolder)),
  ];
}

function keyedRoutes(service: ChatService, options: RouteOptions): Route[] {
  return [
    ["POST", "/v1/chat/completions", chatCompletions(service, options)],
    ["POST", "/v1/completions", completions(service, options)],
    ["POST", "/v1/messages", createMessage(service, options)],
    ["POST", "/v1/messages/count_tokens", countTokens(service, options)],
    ...responseRoutes(service, options),
    ["GET", "/v1/models", listModels(options)],
    ["GET", "/v1/models/:id{.+}", showModel(options)], // names may contain slashes, escaped or not
    ["POST", "/tokenize", tokenize(service, options)],
    ["POST", "/detokenize", detokenize(service, options)],
    ["GET", "/version", version(options)],
    ...(options.servesMetrics ? [["GET", "/metrics", exposeMetrics(options.metrics)] as const] : []),
  ];
}

/** The app without a port: `createHttpServer` serves it, tests call `app.request()`. */
export function createApp(service: ChatService, settings: AppOptions): Hono<AppEnv> {
  const options = { ...settings, limits: { ...defaultLimits, ...settings.limits } };
  const app = new Hono<AppEnv>({ strict: false }); // a path may end in a slash
  const keyed = keyedRoutes(service, options);
  const listRoutes = (): ListedRoute[] => [...listed(keyed, true), ...listed(open, false)];
  const open: Route[] = [...openRoutes(options), ...documentRoutes({ listRoutes, asksForKey: !options.apiKeys.isEmpty })];
  app.use(recordRequests(options));
  const turns = new WorkGate(1, Infinity);
  app.use(async (c, next) => {
    c.set("stopping", options.stopping);
    c.set("turns", turns);
    await next();
  });
  if (options.localNamesOnly) app.use(refuseForeignNames());
  app.use(allowOrigins(options.allowedOrigins ?? [])); // before keys: a browser's preflight carries none
  addRoutes(app, open);
  app.use(requireApiKey(options.apiKeys));
  addRoutes(app, keyed);
  app.notFound((c) => answerError(c, unknownRoute(c, [...keyed, ...open])));
  app.onError((error, c) => (c.req.raw.signal.aborted ? new Response(null, { status: clientGoneStatus }) : answerError(c, error)));
  return app;
}

function listed(routes: readonly Route[], needsKey: boolean): ListedRoute[] {
  return routes.map(([method, path]) => ({ method, path, needsKey }));
}

function addRoutes(app: Hono<AppEnv>, routes: readonly Route[]): void {
  for (const [method, path, handler] of routes) app.on(method, path, handler);
  for (const path of new Set(routes.map((route) => route[1]))) {
    app.all(path, refuseMethod(routes.filter((route) => route[1] === path).map(([method]) => method)));
  }
}

function answerError(c: Context<AppEnv>, error: Error): Response {
  const { status, headers, body } = isAnthropicRequest(c) ? toMessagesError(error, c.get("record").id) : toErrorAnswer(error);
  c.get("record").fail(error);
  return c.json(body, status as ContentfulStatusCode, headers);
}

function refuseMethod(allowed: readonly string[]) {
  return (c: Context): never => {
    c.header("allow", allowed.join(", "));
    throw new RequestError(`expected ${allowed.join(" or ")} ${c.req.path.slice(0, 200)}, got ${c.req.method}`, {
      status: 405,
      code: "method_not_allowed",
    });
  };
}

function unknownRoute({ req }: Context, routes: readonly Route[]): RequestError {
  const asked = `${req.method} ${req.path.slice(0, 200)}`;
  // Mistakes in base URLs: /v1 missing, /v1 twice, another server's path prefix.
  const similar = routes.find(([method, path]) => method === req.method && path.startsWith("/v1/") && req.path.endsWith(path.slice(3)));
  const meant = similar?.slice(0, 2).join(" ");
  const known = routes.map(([method, path]) => `${method} ${toPathTemplate(path)}`).join(", ");
  const message = meant
    ? `${asked} does not exist, but ${meant} does; the base URL of OpenAI's clients ends in /v1, that of Anthropic's does not`
    : `${asked} does not exist; this server has ${known}`;
  return new RequestError(message, { status: 404, code: "unknown_url" });
}
