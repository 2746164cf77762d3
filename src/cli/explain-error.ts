// What the program prints of the error that ends it.

import { UserError } from "../core/errors.ts";

/** The operator's mistakes, and what the system denies, are one line; anything else is a bug and shows where. */
export function explainError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof UserError) return error.message;
  if (lacksThreads(error))
    return "the system allows no more threads; raise the limit (ulimit -u, --pids-limit of a container, TasksMax= of a systemd unit) or lower --threads";
  return error.stack ?? error.message;
}

/** Node says no more than EAGAIN, ONNX Runtime names its C++ function. */
function lacksThreads({ code, message }: NodeJS.ErrnoException): boolean {
  return (code === "ERR_WORKER_INIT_FAILED" && message.includes("EAGAIN")) || message.includes("pthread_create failed, error code: 11");
}
