// A pull to a file system that refuses locks, as NFS without its lock service does.

import { constants } from "node:os";
import { join } from "node:path";
import koffi from "koffi";
import { expect, onTestFinished, test, vi } from "vitest";
import { pull } from "../../src/cli/pull.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { HubServer } from "./hub-server.ts";

vi.mock("../../src/runtime/load-library.ts", () => {
  const flock = (): number => {
    koffi.errno(constants.errno.ENOLCK);
    return -1;
  };
  return { cLibrary: { func: () => flock } };
});

test("goes on, and warns of a second one once", async () => {
  const hub = await new HubServer().start();
  hub.putServable().put("model.safetensors", Buffer.alloc(1000, "weights"), true);
  vi.stubEnv("HF_ENDPOINT", hub.endpoint);
  onTestFinished(async () => {
    vi.unstubAllEnvs();
    await hub.stop();
  });
  const lines: string[] = [];

  await pull({ repo: hub.repository, revision: "main", out: join(temporaryFolder(), "model") }, (line) => lines.push(line));

  expect(lines.filter((line) => line.includes("has no locks"))).toEqual([
    "  this file system has no locks: do not pull into the same folder from two runs at once",
  ]);
  expect(lines.at(-1)).toMatch(/^Complete and verified/);
});
