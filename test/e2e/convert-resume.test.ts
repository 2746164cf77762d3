// The compiled converter, with its worker threads, killed without warning: needs dist/.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { workFolderPath } from "../../src/convert/work-folder.ts";
import { readManifest, verifyFiles } from "../../src/model-folder.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const converter = fileURLToPath(new URL("../../dist/convert/convert.js", import.meta.url));
const folder = temporaryFolder();
const undisturbed = join(folder, "undisturbed");

// Unquantized, the smallest model of real proportions has 560 MB: enough for worker threads, and for several seconds. Each finished job is recorded
// at once, and the program ends itself: a test that watched it from outside might look when all is over.
const program = `
  const { readFileSync } = await import("node:fs");
  const { convert } = await import(${JSON.stringify(converter)});
  const [target, threads, journal, ending] = process.argv.slice(1);
  let now = 0;
  performance.now = () => (now += 1000); // the journal is written at most once a second
  const recordedJobs = () => readFileSync(journal, "utf8").split("\\n").length;
  const endings = {
    "is killed": () => setTimeout(() => process.kill(process.pid, "SIGKILL"), Math.random() * 50),
    "stands still": () => (process.stdout.write("stands still\\n"), Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)),
    "goes on": () => {},
  };
  let before;
  const onProgress = (done) => {
    if (before === undefined) process.stdout.write(done + "\\n");
    before ??= recordedJobs();
    if (recordedJobs() > before) endings[ending]();
  };
  const settings = { weights: "fp32", activations: "fp32" };
  const onWait = () => process.stdout.write("waits\\n");
  const source = { type: "synthetic", name: "mini" };
  await convert(source, target, { settings, programVersion: "1.0.0", overwrite: true, threads: Number(threads), onProgress, onWait });
`;

type Converter = { readonly child: ChildProcess; readonly exited: Promise<unknown[]>; output(): string; says(text: string): Promise<void> };

/** `ending`: what becomes of it once it has recorded a job. */
function startConverter(target: string, threads: number, ending: "is killed" | "stands still" | "goes on"): Converter {
  const args = [target, String(threads), join(workFolderPath(target), "journal"), ending];
  const child = spawn(process.execPath, ["--input-type=module", "-e", program, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const says = async (text: string) => {
    while (!output.includes(text)) await Promise.race([once(child.stdout, "data"), failAtEnd]);
  };
  const exited = once(child, "close");
  const failAtEnd = exited.then(() => Promise.reject(new Error(`the converter ended, having said: ${output}`)));
  failAtEnd.catch(() => {});
  return { child, exited, output: () => output, says };
}

beforeAll(async () => {
  if (!existsSync(converter)) throw new Error(`${converter} is missing; run \`npm run build\` first`);
  expect(await startConverter(undisturbed, 1, "goes on").exited).toEqual([0, null]);
});

describe("a converter that is killed", () => {
  test("three times leaves nothing at the target, goes on each time, and ends with the same bytes", async () => {
    const target = join(folder, "killed");
    const begunAt: number[] = [];
    for (let kills = 0; kills < 3; kills++) {
      const attempt = startConverter(target, 2, "is killed");
      expect(await attempt.exited).toEqual([null, "SIGKILL"]);
      expect(existsSync(target)).toBe(false);
      begunAt.push(Number(attempt.output()));
    }
    const last = startConverter(target, 2, "goes on");
    expect(await last.exited).toEqual([0, null]);
    begunAt.push(Number(last.output()));

    expect(begunAt[0]).toBe(0);
    expect(new Set(begunAt).size).toBe(4);
    expect(begunAt).toEqual(begunAt.toSorted((a, b) => a - b));
    expect(readFileSync(join(target, "manifest.json"), "utf8")).toBe(readFileSync(join(undisturbed, "manifest.json"), "utf8"));
    await verifyFiles(target, readManifest(target));
    expect(readdirSync(folder).toSorted()).toEqual(["killed", "undisturbed"]);
    rmSync(target, { recursive: true });
  });

  test("hands its work to the process that waits for it", async () => {
    const target = join(folder, "handed-over");
    const first = startConverter(target, 2, "stands still"); // it stays at work until it is killed
    await first.says("stands still");
    const second = startConverter(target, 2, "goes on");
    await second.says("waits");
    first.child.kill("SIGKILL");

    expect(await second.exited).toEqual([0, null]);
    const [waits, bytesBefore] = second.output().split("\n");
    expect(waits).toBe("waits");
    expect(Number(bytesBefore)).toBeGreaterThan(0);
    expect(readFileSync(join(target, "manifest.json"), "utf8")).toBe(readFileSync(join(undisturbed, "manifest.json"), "utf8"));
  });
});
