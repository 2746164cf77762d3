import { expect, test } from "vitest";
import { sumByName } from "../../scripts/gpu/check/kernel-times.ts";

test("the table of ncu is summed by kernel, whatever the template arguments, the longest first", () => {
  const output = [
    "==PROF== Connected to process 7",
    '"ID","Process ID","Kernel Name","Metric Name","Metric Unit","Metric Value"',
    '"0","7","void a::b::copy<float, int>(float const*, int)","gpu__time_duration.sum","ns","1,500"',
    '"1","7","ernie::(anonymous namespace)::topKKernel(ernie::ModalityMoe, ernie::MoeWorkspace)","gpu__time_duration.sum","ns","2,000"',
    '"2","7","void a::b::copy<half, int>(half const*, int)","gpu__time_duration.sum","ns","1,000"',
    "==PROF== Disconnected from process 7",
  ].join("\n");

  expect(sumByName(output)).toEqual([
    { name: "copy", count: 2, microseconds: 2.5 },
    { name: "topKKernel", count: 1, microseconds: 2 },
  ]);
});
