// Preloaded into the program (see startBroken): breaks one of its threads. The file at ERNIE_VL_FAULT_FILE names the fault and is read at every
// chance, so a test may change it while the program runs. A fault of a step comes with the fourth step, `NAME@KIND` with the next step of that
// kind. ERNIE_VL_SIGNAL_AT is `SIGNAL@TEXT`: the program gets the signal in the moment it prints the text.

import { readFileSync, writeFileSync } from "node:fs";
import { BroadcastChannel, isMainThread } from "node:worker_threads";
import koffi from "koffi";

const file = process.env.ERNIE_VL_FAULT_FILE;
const wire = new BroadcastChannel("fault");
wire.unref();

if (isMainThread) {
  if (process.env.ERNIE_VL_SIGNAL_AT) signalAt(...process.env.ERNIE_VL_SIGNAL_AT.split("@"));
  wire.addEventListener("message", () => {
    throw new Error("nobody catches this (injected)");
  });
} else if (file) {
  await breakThread();
}

function signalAt(signal, text) {
  const { stdout } = process;
  const write = stdout.write.bind(stdout);
  stdout.write = (printed, ...rest) => {
    const isTaken = write(printed, ...rest);
    if (String(printed).includes(text)) process.kill(process.pid, signal);
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
  /** These last; others happen once. */
  const lastingFaults = ["slow", "fails-always"];
  const happens = (name) => {
    if (readFileSync(file, "utf8") !== name) return false;
    if (!lastingFaults.includes(name.split("@")[0])) writeFileSync(file, "");
    return true;
  };
  /** The method, behind a thread that ends if that is the fault. */
  const mayEndThread = (prototype, method, name) => {
    const original = prototype[method];
    prototype[method] = function (...args) {
      if (happens(name)) process.exit(9);
      return original.apply(this, args);
    };
  };

  if (happens("no-memory-at-start")) replaceOnce(HostDevice.prototype, "allocate", noMemory);
  mayEndThread((await import("sharp")).default.prototype, "metadata", "picture-thread-ends");
  mayEndThread(Matcher.prototype, "accept", "grammar-thread-ends");

  const { step } = ErnieModel.prototype;
  let goodSteps = 0;
  ErnieModel.prototype.step = function mayFail(batch, ...rest) {
    const [name, kind] = readFileSync(file, "utf8").split("@");
    const isItsTime = stepFaults[name] && (kind ? batch.type === kind : goodSteps++ >= 3);
    if (isItsTime && happens(kind ? `${name}@${kind}` : name)) {
      if (!lastingFaults.includes(name)) goodSteps = 0;
      stepFaults[name]();
    }
    return step.call(this, batch, ...rest);
  };
}
