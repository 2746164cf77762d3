// Whose request the current work belongs to, for queues that are fair among clients.

import { AsyncLocalStorage } from "node:async_hooks";

/** Stands for an API key. There is none where the server has no keys, and outside of requests. */
export const askingClient = new AsyncLocalStorage<string>();
