// GET /metrics in Prometheus's text format: a route of the app, or an app of its own for a port that only the monitoring reaches.

import { type Context, Hono } from "hono";
import type { ServerMetrics } from "./metrics.ts";

export function exposeMetrics(metrics: ServerMetrics) {
  return async (c: Context): Promise<Response> => c.body(await metrics.expose(), 200, { "content-type": metrics.registry.contentType });
}

/** Nothing but GET /metrics, without a key. */
export function createMetricsApp(metrics: ServerMetrics): Hono {
  return new Hono().get("/metrics", exposeMetrics(metrics));
}
