// GET /health: for load balancers and container probes; needs no key.

import type { Handler } from "hono";
import type { AppOptions } from "./app-options.ts";

export function health({ isReady, stats }: AppOptions): Handler {
  return (c) => {
    const { running, waiting } = stats();
    return isReady() ? c.json({ status: "ok", running, waiting }) : c.json({ status: "unavailable", running, waiting }, 503);
  };
}
