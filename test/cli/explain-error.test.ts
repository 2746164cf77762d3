import { expect, test } from "vitest";
import { explainError } from "../../src/cli/explain-error.ts";
import { EngineError, UserError } from "../../src/core/errors.ts";

test.each([
  ["Node", Object.assign(new Error("EAGAIN"), { code: "ERR_WORKER_INIT_FAILED" })],
  [
    "ONNX Runtime",
    new EngineError(
      "the engine thread failed: ONNX Runtime CreateSession: /onnxruntime_src/onnxruntime/core/platform/posix/env.cc:185 " +
        "onnxruntime::{anonymous}::PosixThread::PosixThread(const char*, int) pthread_create failed, error code: 11 error msg: Resource temporarily unavailable",
    ),
  ],
])("threads that the system does not allow %s are one line that says which limits there are", (_, error) => {
  expect(explainError(error)).toMatch(/^the system allows no more threads; raise the limit \(ulimit -u, .*\) or lower --threads$/);
});

test("the operator's mistake is its message, and anything else shows where it happened", () => {
  expect(explainError(new UserError("no such folder"))).toBe("no such folder");
  expect(explainError(new EngineError("a bug"))).toMatch(/^EngineError: a bug\n {4}at /);
  expect(explainError("thrown text")).toBe("thrown text");
});
