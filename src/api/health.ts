// GET /health, /health/ready and /health/live: for load balancers and container probes; they need no key.

import type { Handler } from "hono";
import type { AppOptions } from "./app-options.ts";

/** Whether requests are answered: 503 while the server shuts down, or a step of the engine hangs. `/health` and `/health/ready`. */
export function health({ isReady, stats }: AppOptions): Handler {
  return (c) => {
    const { running, waiting } = stats();
    return isReady() ? c.json({ status: "ok", running, waiting }) : c.json({ status: "unavailable", running, waiting }, 503);
  };
}

/** Whether the process is alive: while it is not, there is no answer. A server that is not ready for a while need not be restarted. */
export function live(): Handler {
  return (c) => c.json({ status: "ok" });
}
