// Preloaded into the program (see startBroken): breaks one of its threads. ERNIE_VL_FAULT names the fault; one of a step comes with the
// fourth step, `NAME@KIND` with the first step of that kind. `SIGNAL@TEXT`: the program gets a signal in the moment it prints this.

import { BroadcastChannel, isMainThread } from "node:worker_threads";
import koffi from "koffi";

const [name, kind] = (process.env.ERNIE_VL_FAULT ?? "").split("@");
const goodSteps = kind ? 0 : 3;
const wire = new BroadcastChannel("fault");
wire.unref();

if (name.startsWith("SIG")) {
  if (isMainThread) signalAt(kind);
} else if (isMainThread) {
  wire.addEventListener("message", () => {
    throw new Error("nobody catches this (injected)");
  });
} else if (name) {
  await breakThread();
}

function signalAt(text) {
  const { stdout } = process;
  const write = stdout.write.bind(stdout);
  stdout.write = (printed, ...rest) => {
    const isTaken = write(printed, ...rest);
    if (String(printed).includes(text)) process.kill(process.pid, name);
    return isTaken;
  };
}

async function breakThread() {
  const { ErnieModel } = await import("../../dist/model/ernie-model.js");
  const { Sampler } = await import("../../dist/model/sampler.js");
  const { HostDevice } = await import("../../dist/runtime/device.js");
  const { DeviceLostError, EngineError } = await import("../../dist/core/errors.js");
  const { Matcher } = await import("../../dist/grammar/matcher.js");
  const sleep = (ms) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  const fail = (error) => {
    throw error;
  };
  /** The next call of the method is another one, with the true one behind its arguments. */
  const replaceOnce = (prototype, method, replacement) => {
    const original = prototype[method];
    prototype[method] = function (...args) {
      prototype[method] = original;
      return replacement.call(this, ...args, () => original.apply(this, args));
    };
  };
  const noMemory = () => fail(new EngineError("the system has no 1 bytes of memory left"));
  const fillWithNaN = (output, draws, drawTruly) => {
    new Float32Array(
      output.memory.bytes,
      0,
      output.logits.shape.reduce((a, b) => a * b, 1),
    ).fill(NaN);
    return drawTruly();
  };

  /** What happens in a step before it is computed. */
  const stepFaults = {
    slow: () => sleep(20),
    "fails-once": () => fail(new Error("injected")),
    "fails-always": () => fail(new Error("out of memory (injected)")),
    "device-lost": () => fail(new DeviceLostError("the GPU has failed (injected)")),
    "no-memory": () => replaceOnce(HostDevice.prototype, "allocate", noMemory),
    "not-finite": () => replaceOnce(Sampler.prototype, "draw", fillWithNaN),
    "thread-ends": () => process.exit(7),
    "heap-full": () => {
      for (const kept = []; ;) kept.push(Array.from({ length: 100_000 }, () => kept.length));
    },
    hangs: () => koffi.load(null).func("unsigned int sleep(unsigned int)")(1_000_000),
    crashes: () => koffi.load(null).func("size_t strlen(uintptr_t)")(8),
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- no window
    "main-thread-throws": () => wire.postMessage("now"),
  };
  if (name === "no-memory-at-start") replaceOnce(HostDevice.prototype, "allocate", noMemory);
  if (name === "picture-thread-ends") (await import("sharp")).default.prototype.metadata = () => process.exit(9);
  if (name === "grammar-thread-ends") Matcher.prototype.accept = () => process.exit(9);
  if (stepFaults[name]) breakSteps(ErnieModel.prototype, stepFaults[name]);
}

/** These last; others happen once. */
const lastingFaults = ["slow", "fails-always"];

function breakSteps(prototype, fault) {
  const { step } = prototype;
  let count = 0;
  let isOver = false;
  prototype.step = function faultyStep(batch, ...rest) {
    const isItsTime = kind ? batch.type === kind : count++ >= goodSteps;
    if (isItsTime && !isOver) {
      isOver = !lastingFaults.includes(name);
      fault();
    }
    return step.call(this, batch, ...rest);
  };
}
