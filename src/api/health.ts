// GET /health: for load balancers and container probes; needs no key.

import type { Handler } from "hono";
import type { AppOptions } from "./app-options.ts";

export function health({ isReady, stats }: AppOptions): Handler {
  return (c) => (isReady() ? c.json({ status: "ok", ...stats?.() }) : c.json({ status: "unavailable", ...stats?.() }, 503));
}
