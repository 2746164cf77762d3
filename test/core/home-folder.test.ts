import { userInfo } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { cacheRoot } from "../../src/convert/conversion-cache.ts";
import { homeFolder } from "../../src/core/file-system.ts";
import { UserError } from "../../src/core/errors.ts";
import { readHubAccess } from "../../src/pull/hub-access.ts";
import { fontFolders } from "../../src/vision/host-fonts.ts";

let hasAccount = true;

vi.mock("node:os", async (importOriginal) => {
  const os = await importOriginal<typeof import("node:os")>();
  const orNothing = <Result>(look: () => Result): Result => {
    if (hasAccount) return look();
    throw new Error("A system error occurred: uv_os_homedir returned ENOENT (no such file or directory)");
  };
  return { ...os, homedir: () => orNothing(os.homedir), userInfo: () => orNothing(() => os.userInfo()) };
});

beforeEach(() => void (hasAccount = true));
afterEach(() => vi.unstubAllEnvs());

test("the home folder is $HOME, or the account's where that is empty", () => {
  vi.stubEnv("HOME", "/home/meyer");
  expect(homeFolder()).toBe("/home/meyer");

  vi.stubEnv("HOME", "");
  expect(homeFolder()).toBe(userInfo().homedir);
});

test("a user without an account, as in some containers, has none, and pulls and reads fonts without it", () => {
  hasAccount = false;

  expect(homeFolder()).toBeUndefined();
  expect(readHubAccess({}).token).toBeUndefined();
  expect(readHubAccess({ HF_TOKEN: "secret" }).token).toBe("secret");
  expect(fontFolders({})).toEqual([join("/usr/local/share", "fonts"), join("/usr/share", "fonts")]);
  expect(() => cacheRoot({})).toThrow(new UserError("there is no home folder to cache conversions in; set ERNIE_VL_CACHE to a folder"));
});
