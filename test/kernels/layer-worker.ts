// A thread with a session of its own, for the test of two at once: waits until the other one is ready, runs many times and posts
// what came out, one Float32Array per round.

import { parentPort, workerData } from "node:worker_threads";
import { TensorBuffer } from "../../src/model/tensor-buffer.ts";
import { Runtime } from "../../src/runtime/runtime.ts";

export type LayerRuns = {
  readonly graphPath: string;
  readonly library: string;
  readonly hidden: number;
  /** Per round: x [tokens, hidden] and one flag per token. */
  readonly rounds: readonly { readonly x: Float32Array; readonly visionExpert: readonly boolean[] }[];
  /** One shared counter of the threads that are ready. */
  readonly ready: Int32Array;
};

const { graphPath, library, hidden, rounds, ready } = workerData as LayerRuns;
const runtime = new Runtime();
const session = runtime.openSession(graphPath, { threadCount: 2, customOpsLibrary: library });

Atomics.add(ready, 0, 1);
Atomics.notify(ready, 0);
Atomics.wait(ready, 0, 1);
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port, not a window
parentPort!.postMessage(rounds.map(({ x, visionExpert }) => run(x, visionExpert)));
session.dispose();
runtime.dispose();

function run(x: Float32Array, visionExpert: readonly boolean[]): Float32Array {
  const [input, output] = [new TensorBuffer(runtime, "float32", x.length), new TensorBuffer(runtime, "float32", x.length)];
  const flags = new TensorBuffer(runtime, "bool", visionExpert.length);
  input.data.set(x);
  flags.data.set(visionExpert.map(Number));
  const binding = session.createBinding();
  binding.input("x", input.shaped(1, visionExpert.length, hidden));
  binding.input("vision_expert", flags.shaped(1, visionExpert.length));
  binding.output("y", output.shaped(1, visionExpert.length, hidden));
  binding.run();
  const y = Float32Array.from(output.data as Float32Array);
  binding.dispose();
  for (const buffer of [input, output, flags]) buffer.dispose();
  return y;
}
