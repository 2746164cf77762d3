// The engine's side of the thread boundary: receives messages between steps and sends one message of events after each step.

import { receiveMessageOnPort, type MessagePort } from "node:worker_threads";
import { setImmediate } from "node:timers/promises";
import { messageOf, RequestError, toRefusal } from "../core/errors.ts";
import type { ConstraintHandle, TokenConstraint } from "../core/token-constraint.ts";
import type { Engine } from "./engine.ts";
import type { FromEngine, SequenceId, ToEngine } from "./engine-protocol.ts";

/** How often the event loop runs between steps. Only the port's close event needs it; messages are received synchronously. */
const turnIntervalMs = 5;

/**
 * Serves the port until it closes or a `close` message comes, then closes it and resolves. Between steps it drains the port, so that an abort
 * takes effect within one step. Without work it sleeps until a message arrives. An error outside a model step is a bug or a lost device: it is
 * reported as `fatal` and ends the loop.
 */
export async function runEngineLoop(
  engine: Engine,
  port: MessagePort,
  openConstraint: (handle: ConstraintHandle) => TokenConstraint,
): Promise<void> {
  const state = { isOpen: true, wake: (): void => {} };
  const post = (message: FromEngine): void => port.postMessage(message);
  const submit = ({ id, request, sentMs }: ToEngine & { type: "submit" }): void => {
    try {
      engine.submit(id, request, request.constraint && openConstraint(request.constraint), sentMs);
    } catch (error) {
      if (error instanceof RequestError) post({ type: "refused", id, error: toRefusal(error) });
      else post(failure(engine, id, error));
    }
  };
  const receive = (message: ToEngine): void => {
    if (message.type === "submit") submit(message);
    else if (message.type === "abort") engine.abort(message.id);
    else if (message.type === "finish") engine.finish(message.id);
    else state.isOpen = false;
  };
  port.on("message", (message: ToEngine) => {
    receive(message);
    state.wake();
  });
  port.on("close", () => {
    state.isOpen = false;
    state.wake();
  });

  post({ type: "ready" });
  let lastTurn = performance.now();
  try {
    while (state.isOpen) {
      for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) receive(next.message);
      const events = engine.hasWork() ? engine.step() : [];
      post({ type: "events", events, stats: engine.stats(), step: engine.takeStepReport() });
      if (!engine.hasWork()) {
        if (state.isOpen) await new Promise<void>((resolve) => (state.wake = resolve));
      } else if (performance.now() - lastTurn >= turnIntervalMs) {
        await setImmediate();
        lastTurn = performance.now();
      }
    }
  } catch (error) {
    post({ type: "fatal", message: messageOf(error) });
  }
  port.close();
}

function failure(engine: Engine, id: SequenceId, error: unknown): FromEngine {
  return { type: "events", events: [[id, { type: "failed", message: messageOf(error) }]], stats: engine.stats() };
}
