import { spawnSync } from "node:child_process";
import { linkSync, mkdirSync, readdirSync, readlinkSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { UserError } from "../../src/core/errors.ts";
import { createMediaReader } from "../../src/media/media-reader.ts";
import { param, refusal, request } from "./refusal.ts";
import { temporaryFolder } from "../temporary-folder.ts";

// base/allowed contains pictures; base/allowed-not and base/secret.txt are beside it.
const base = realpathSync(temporaryFolder());
const allowed = join(base, "allowed");
mkdirSync(join(allowed, "inner"), { recursive: true });
mkdirSync(join(base, "allowed-not"));
writeFileSync(join(base, "secret.txt"), "secret");
writeFileSync(join(base, "allowed-not", "a.png"), "secret");
writeFileSync(join(allowed, "a b%2f.png"), "odd name");
writeFileSync(join(allowed, "inner", "a.png"), "picture");
writeFileSync(join(allowed, "..a.png"), "dots");
writeFileSync(join(allowed, "large.png"), Buffer.alloc(1001));
writeFileSync(join(allowed, "full.png"), Buffer.alloc(1000));
writeFileSync(join(allowed, "empty.png"), "");
symlinkSync(join(base, "secret.txt"), join(allowed, "link-out"));
symlinkSync(base, join(allowed, "folder-out"));
symlinkSync("inner/a.png", join(allowed, "link-in"));
symlinkSync("loop", join(allowed, "loop"));
symlinkSync(allowed, join(base, "way-in"));
linkSync(join(allowed, "inner", "a.png"), join(allowed, "hard.png"));
spawnSync("mkfifo", [join(allowed, "pipe")]);

const reader = createMediaReader({ domains: [], folders: [allowed] });
const text = async (url: string) => Buffer.from(await reader.read(url, request)).toString();
const inside = pathToFileURL(allowed).href;

describe("a file of an allowed folder is read", () => {
  test.each([
    ["plainly", `${inside}/inner/a.png`, "picture"],
    ["by its escaped name", pathToFileURL(join(allowed, "a b%2f.png")).href, "odd name"],
    ["with dots that stay inside", `${inside}/inner/../inner/./a.png`, "picture"],
    ["with a name that begins with dots", `${inside}/..a.png`, "dots"],
    ["through a link that stays inside", `${inside}/link-in`, "picture"],
    ["through a link that leads inside", `${pathToFileURL(base).href}/way-in/inner/a.png`, "picture"],
    ["as a hard link", `${inside}/hard.png`, "picture"],
    ["on localhost, which is this machine", `${inside}/inner/a.png`.replace("file://", "file://localhost"), "picture"],
    ["empty", `${inside}/empty.png`, ""],
  ])("%s", async (_, url, content) => {
    expect(await text(url)).toBe(content);
  });

  test("up to the limit", async () => {
    expect(await reader.read(`${inside}/full.png`, request)).toHaveLength(1000);
    expect(await refusal(reader.read(`${inside}/large.png`, request))).toMatchObject({ status: 400, code: "image_file_too_large", param });
  });

  test("of an allowed folder that is itself a link", async () => {
    const linked = createMediaReader({ domains: [], folders: [join(base, "way-in")] });

    expect(Buffer.from(await linked.read(`${inside}/inner/a.png`, request)).toString()).toBe("picture");
  });
});

describe("what is missing and what lies outside are refused alike:", () => {
  test.each([
    ["nothing there", `${inside}/none.png`],
    ["beside the folder", `${pathToFileURL(base).href}/secret.txt`],
    ["a folder whose name begins alike", `${pathToFileURL(base).href}/allowed-not/a.png`],
    ["dots", `${inside}/../secret.txt`],
    ["escaped dots", `${inside}/%2e%2e/secret.txt`],
    ["escaped slashes", `${inside}/..%2fsecret.txt`],
    ["twice escaped", `${inside}/..%252fsecret.txt`],
    ["a backslash", `${inside}/..\\secret.txt`],
    ["a NUL", `${inside}/inner/a.png%00.txt`],
    ["a broken escape", `${inside}/%ff%zz`],
    ["a link out", `${inside}/link-out`],
    ["a folder link out", `${inside}/folder-out/secret.txt`],
    ["a link to itself", `${inside}/loop`],
    ["a folder", `${inside}/inner`],
    ["the allowed folder", inside],
    ["a file as folder", `${inside}/inner/a.png/x`],
    ["a pipe nobody writes to", `${inside}/pipe`],
    ["another host", `${inside}/inner/a.png`.replace("file://", "file://server")],
    ["a device", "file:///dev/zero"],
    ["this process", "file:///proc/self/environ"],
    ["no path", "file://"],
    ["a very long name", `${inside}/${"x".repeat(4000)}`],
  ])("%s", async (_, url) => {
    const missing = await refusal(reader.read(`${inside}/surely-not-there`, request));
    const error = await refusal(reader.read(url, request));

    expect(error).toMatchObject({ status: 400, code: "image_file_not_found", param, message: missing.message });
    expect(error.message).not.toMatch(/ENOENT|secret|media-/);
  });
});

test("no file stays open, read or refused", async () => {
  await reader.read(`${inside}/full.png`, request);
  await refusal(reader.read(`${inside}/large.png`, request));

  const open = readdirSync("/proc/self/fd").map((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`);
    } catch {
      return ""; // closed meanwhile
    }
  });
  expect(open.filter((path) => path.startsWith(base))).toEqual([]);
});

test("a folder that is none stops the start", () => {
  for (const folder of [join(base, "none"), join(base, "secret.txt")]) {
    expect(() => createMediaReader({ domains: [], folders: [folder] })).toThrow(UserError);
  }
});

test("http stays refused, with its flag", async () => {
  const error = await refusal(reader.read("https://example.org/", request));

  expect(error).toMatchObject({ code: "invalid_image_url", message: expect.stringMatching(/--allow-media-domain HOST/) });
});
