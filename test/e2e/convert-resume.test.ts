// The compiled converter, with its worker threads, killed without warning: needs dist/.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { workFolderPath } from "../../src/convert/work-folder.ts";
import { readManifest, verifyFiles } from "../../src/model-folder.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const converter = fileURLToPath(new URL("../../dist/convert/convert.js", import.meta.url));
const folder = temporaryFolder();
const undisturbed = join(folder, "undisturbed");

// Unquantized, the smallest model of real proportions has 560 MB: enough for worker threads, and for several seconds.
const program = `
  const { convert } = await import(${JSON.stringify(converter)});
  const [target, threads] = process.argv.slice(1);
  const settings = { weights: "fp32", activations: "fp32" };
  let first = true;
  const onProgress = (done) => first && ((first = false), process.stdout.write(done + "\\n"));
  const onWait = () => process.stdout.write("waits\\n");
  const source = { type: "synthetic", name: "mini" };
  await convert(source, target, { settings, programVersion: "1.0.0", overwrite: true, threads: Number(threads), onProgress, onWait });
`;

function startConverter(target: string, threads: number): { child: ChildProcess; output: () => string; exited: Promise<unknown[]> } {
  const child = spawn(process.execPath, ["--input-type=module", "-e", program, target, String(threads)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  return { child, output: () => output, exited: once(child, "close") };
}

/** Jobs that the journal says are done. */
function recordedJobs(target: string): number {
  const path = join(workFolderPath(target), "journal");
  return existsSync(path) ? Math.max(0, readFileSync(path, "utf8").split("\n").length - 2) : 0;
}

beforeAll(async () => {
  if (!existsSync(converter)) throw new Error(`${converter} is missing; run \`npm run build\` first`);
  expect(await startConverter(undisturbed, 1).exited).toEqual([0, null]);
});

describe("a converter that is killed", () => {
  test("up to three times leaves nothing at the target, goes on each time, and ends with the same bytes", async () => {
    const target = join(folder, "killed");
    let kills = 0;
    // The journal is written about once a second: on a fast machine a later attempt may end before it is killed.
    for (; !existsSync(target); kills++) {
      const before = recordedJobs(target);
      const attempt = startConverter(target, 2);
      if (kills < 3) {
        while (attempt.child.exitCode === null && recordedJobs(target) <= before) await setTimeout(5);
        await setTimeout(Math.random() * 50);
        attempt.child.kill("SIGKILL");
        await attempt.exited;
      } else expect(await attempt.exited).toEqual([0, null]);
      if (kills > 0) expect(Number(attempt.output())).toBeGreaterThan(0);
    }

    expect(kills).toBeGreaterThan(1);
    expect(readFileSync(join(target, "manifest.json"), "utf8")).toBe(readFileSync(join(undisturbed, "manifest.json"), "utf8"));
    await verifyFiles(target, readManifest(target));
    expect(readdirSync(folder).toSorted()).toEqual(["killed", "undisturbed"]);
    rmSync(target, { recursive: true });
  });

  test("hands its work to the process that waits for it", async () => {
    const target = join(folder, "handed-over");
    const first = startConverter(target, 2);
    while (recordedJobs(target) === 0) await setTimeout(5);
    first.child.kill("SIGSTOP"); // it stays at work until it is killed
    const second = startConverter(target, 2);
    while (second.output() === "") await setTimeout(5);
    first.child.kill("SIGKILL");

    expect(await second.exited).toEqual([0, null]);
    const [waits, bytesBefore] = second.output().split("\n");
    expect(waits).toBe("waits");
    expect(Number(bytesBefore)).toBeGreaterThan(0);
    expect(readFileSync(join(target, "manifest.json"), "utf8")).toBe(readFileSync(join(undisturbed, "manifest.json"), "utf8"));
  });
});
