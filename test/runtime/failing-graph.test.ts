import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const program = fileURLToPath(new URL("failing-graph.ts", import.meta.url));

// While a graph is recorded, the status that comes back is that of the recording's end.
test.each([
  { way: "graph", printed: /\[E:onnxruntime\b.* while running Mul node\. Name:/ },
  { way: "eager", printed: /^$/ },
])("a node that fails is named on stderr where a graph may be recorded, else only in the error ($way)", ({ way, printed }) => {
  const { stdout, stderr } = spawnSync(process.execPath, ["--import", import.meta.resolve("tsx"), program, way], { encoding: "utf8" });

  expect(stdout).toBe("failed\n");
  expect(stderr).toMatch(printed);
});
