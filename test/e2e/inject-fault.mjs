// Preloaded into the program (see startBroken): breaks the model in the engine's thread. ERNIE_VL_FAULT says how, from the
// fourth step of a request on.

import { isMainThread } from "node:worker_threads";

const kind = process.env.ERNIE_VL_FAULT;
const goodSteps = 3;

if (!isMainThread && kind) {
  const { ErnieModel } = await import("../../dist/model/ernie-model.js");
  const { DeviceLostError } = await import("../../dist/core/errors.js");
  const { step } = ErnieModel.prototype;
  let count = 0;
  const sleep = (ms) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  const faults = {
    slow: () => {
      count--;
      sleep(20);
    },
    "fails-once": () => {
      throw new Error("injected");
    },
    "fails-always": () => {
      count--;
      throw new Error("out of memory (injected)");
    },
    "device-lost": () => {
      throw new DeviceLostError("the GPU has failed (injected)");
    },
    "thread-ends": () => process.exit(7),
    hangs: () => sleep(Infinity),
  };
  ErnieModel.prototype.step = function faultyStep(...batch) {
    if (count++ === goodSteps) faults[kind]();
    return step.apply(this, batch);
  };
}
