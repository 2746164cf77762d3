import { execSync } from "node:child_process";
import { tmpdir } from "node:os";
import { expect, test } from "vitest";
import { kernelsBuildCommand, providerInstallCommand } from "../../src/core/package-commands.ts";

test("commands are short in the package's folder", () => {
  expect([kernelsBuildCommand(), providerInstallCommand()]).toEqual(["npm run kernels:build", "node scripts/gpu/install-provider.mjs"]);
});

test("and work in any other", () => {
  const options = { cwd: tmpdir(), encoding: "utf8", stdio: "pipe" } as const;

  expect(execSync(kernelsBuildCommand(tmpdir()).replace("run kernels:build", "pkg get name"), options)).toBe('"ernie-vl"\n');
  expect(() => execSync(providerInstallCommand(tmpdir()).replace("node", "node --check"), options)).not.toThrow();
});
