import { expect, test } from "vitest";
import { checkpointName } from "../../src/core/checkpoint-name.ts";

test.each([
  ["a folder", "/models/ERNIE-4.5-VL-28B-A3B-PT/", "ERNIE-4.5-VL-28B-A3B-PT"],
  [
    "a snapshot in the Hugging Face cache",
    "/root/.cache/huggingface/hub/models--baidu--ERNIE-4.5-VL-28B-A3B-Thinking/snapshots/0123abcd",
    "ERNIE-4.5-VL-28B-A3B-Thinking",
  ],
  ["a snapshot of a repository without owner", "models--ernie/snapshots/main", "ernie"],
  ["a folder inside a snapshot", "models--baidu--ERNIE/snapshots/main/int8", "int8"],
  [
    "a folder of ModelScope's cache",
    "/root/.cache/modelscope/hub/models/PaddlePaddle/ERNIE-4___5-VL-28B-A3B-PT",
    "ERNIE-4.5-VL-28B-A3B-PT",
  ],
  ["another program's snapshot", "ernie/snapshots/main", "main"],
])("the name of %s", (_name, folder, expected) => {
  expect(checkpointName(folder)).toBe(expected);
});
