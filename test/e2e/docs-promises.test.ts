// What README and docs/ promise of the program that no other test sees: it writes to its cache folder only, and nothing in it calls home.

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { root } from "../docs/code-blocks.ts";
import { startServer } from "./start-server.ts";
import { temporaryFolder } from "../temporary-folder.ts";

/** As on a user's machine: ONNX Runtime's telemetry is off by itself where CI is set. */
const userEnvironment = (home: string): Record<string, string> => ({ HOME: home, CI: "", ERNIE_VL_CACHE: "", XDG_CACHE_HOME: "" });

describe("a home folder in which nothing was", () => {
  let folder: string;
  let home: string;
  beforeAll(() => {
    folder = temporaryFolder();
    home = join(folder, "home");
    mkdirSync(home);
  });

  const written = (): string[] =>
    readdirSync(home, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(home.length + 1));

  it("holds a conversion and nothing else when a server has answered: no device id, no database of events", async () => {
    const server = await startServer([], "unused", userEnvironment(home));
    const messages = [{ role: "user" as const, content: "What is the capital of France?" }];
    await server.client.chat.completions.create({ model: "ernie-vl-nano", messages });
    await server.stop();

    expect(written().length).toBeGreaterThan(0);
    expect(written().filter((path) => !path.startsWith(".cache/ernie-vl/ernie-vl-nano-int4-fp32-"))).toEqual([]);
  });

  it("gets nothing more from doctor and from a conversion to another folder", () => {
    const before = written();

    for (const args of [["doctor"], ["convert", "models/ernie-vl-nano", "--out", join(folder, "converted")]]) {
      const { status, stderr } = spawnSync(process.execPath, ["dist/main.js", ...args], {
        cwd: root,
        env: { ...process.env, ...userEnvironment(home) },
        encoding: "utf8",
      });
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    }
    expect(written()).toEqual(before);
  });
});
