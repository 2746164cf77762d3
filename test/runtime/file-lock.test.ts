import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { FileLock } from "../../src/runtime/file-lock.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const source = fileURLToPath(new URL("../../src/runtime/file-lock.ts", import.meta.url));

test("one holder at a time, and the next one after it", () => {
  const path = join(temporaryFolder(), "out");

  const lock = FileLock.take(path)!;
  expect(() => FileLock.take(path)).toThrow(
    new RegExp(`^${path} is being written by process ${process.pid} on \\S+ since \\S+; wait for it, or stop it`),
  );
  lock.release();
  expect(existsSync(`${path}.lock`)).toBe(false);
  const next = FileLock.take(path);
  expect(next).toBeDefined();
  next!.release();
});

test("a holder that is killed holds it no longer, nor does the file that it left", async () => {
  const path = join(temporaryFolder(), "out");
  const program = `const { FileLock } = await import(${JSON.stringify(source)}); FileLock.take(${JSON.stringify(path)}); setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program], { stdio: "ignore" });
  onTestFinished(() => void holder.kill("SIGKILL"));
  await expect.poll(() => existsSync(`${path}.lock`) && readFileSync(`${path}.lock`, "utf8")).toContain("since");
  expect(() => FileLock.take(path)).toThrow(`is being written by process ${holder.pid} on `);

  holder.kill("SIGKILL");
  await once(holder, "exit");

  expect(existsSync(`${path}.lock`)).toBe(true);
  FileLock.take(path)!.release();
});

test("writes into no file that a link of that name leads to, and quotes nothing that another wrote", () => {
  const folder = temporaryFolder();
  const mine = join(folder, "mine");
  writeFileSync(mine, "mine");
  symlinkSync(mine, join(folder, "out.lock"));
  expect(() => FileLock.take(join(folder, "out"))).toThrow(/^cannot write .*out\.lock: too many symbolic links/);
  expect(readFileSync(mine, "utf8")).toBe("mine");

  const lock = FileLock.take(mine)!;
  writeFileSync(`${mine}.lock`, "\u001b[2Jprocess 1 on a since 2");
  expect(() => FileLock.take(mine)).toThrow("is being written by another process;");
  lock.release();
});
