import { describe, expect, test } from "vitest";
import { exactFindings, type Run } from "../../scripts/parity/compare.ts";

/** One case whose reference is zeros, and what was computed instead. */
function run(stages: Readonly<Record<string, readonly number[]>>): Run {
  const zeros = { dtype: "F32", shape: [2], data: new Float32Array(2) };
  const tensors = new Map(["hidden.layer0", "hidden.layer1", "logits", "input_ids"].map((name) => [name, zeros]));
  return {
    item: { tensors, tolerance: () => 0.1 },
    stages: new Map(Object.entries(stages).map(([name, values]) => [name, Float32Array.from(values)])),
  };
}

const good = { "hidden.layer0": [0, 0.01], "hidden.layer1": [0, 0.02], logits: [0, 0] };

describe("a stage is out of tolerance", () => {
  test.each([
    ["never when all is near", good, []],
    ["when one of its layers is far off", { ...good, "hidden.layer0": [0.2, 0] }, ["hidden"]],
    ["when a value is NaN, whatever comes behind it", { ...good, "hidden.layer0": [NaN, 0] }, ["hidden"]],
    ["when values are missing", { ...good, logits: [0] }, ["logits"]],
    ["when it was not computed", { "hidden.layer0": [0, 0], logits: [0, 0] }, ["hidden"]],
  ])("%s", (_, stages, expected) => {
    const findings = exactFindings([run(stages)]);

    expect(findings.map(({ stage }) => stage)).toEqual(["hidden", "logits"]);
    expect(findings.filter(({ passed }) => !passed).map(({ stage }) => stage)).toEqual(expected);
  });
});
