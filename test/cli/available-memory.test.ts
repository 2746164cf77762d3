import { expect, test } from "vitest";
import { availableMemory, type HostMemory } from "../../src/cli/available-memory.ts";

const machine: HostMemory = { totalBytes: 1000, availableBytes: 800, limitBytes: 0, leftBytes: 800, statistics: "" };
const statistics = "anon 50\nfile 260\ninactive_anon 7\ninactive_file 100\nactive_file 150\n";

test.each<[string, Partial<HostMemory>, number, number?]>([
  ["without a limit it is what the machine has", {}, 800],
  ["a limit beyond the machine is none", { limitBytes: 2 ** 63, leftBytes: 5, statistics }, 800],
  ["within a limit, pages of files can be given up", { limitBytes: 500, leftBytes: 200, statistics }, 200 + 100 + 150, 500],
  ["within a limit without statistics it is what is left", { limitBytes: 500, leftBytes: 200 }, 200, 500],
  ["a limit does not make more memory than the machine has", { limitBytes: 900, leftBytes: 900, availableBytes: 300 }, 300],
])("%s", (_, host, bytes, limitBytes) => {
  expect(availableMemory({ ...machine, ...host })).toEqual({ bytes, limitBytes });
});

test("this machine has some", () => {
  expect(availableMemory().bytes).toBeGreaterThan(0);
});
