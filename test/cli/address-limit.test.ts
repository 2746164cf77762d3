import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { limitedAddresses } from "../../src/cli/address-limit.ts";

const row = (soft: string) => `Limit                     Soft Limit           Hard Limit           Units     
Max address space         ${soft}          unlimited            bytes     
Max file locks            7            unlimited            locks     
`;

test("a limit on addresses is warned of, no limit is not", () => {
  expect(limitedAddresses(row("17179869184"))).toMatch(/^ulimit -v is 16\.0 GiB: .*; use ulimit -v unlimited$/);
  expect(limitedAddresses(row("unlimited"))).toBeUndefined();
  expect(limitedAddresses("")).toBeUndefined();
});

test.skipIf(process.platform !== "linux")("a start and doctor warn of the limit that they have", () => {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  for (const command of ["serve --model does-not-exist", "doctor does-not-exist"]) {
    const program = `ulimit -v 100000000; exec "$0" --import tsx src/main.ts ${command}`;
    const { stdout } = spawnSync("sh", ["-c", program, process.execPath], { cwd: root, encoding: "utf8" });

    expect(stdout).toContain("ulimit -v is 95.4 GiB");
  }
});
