import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { readHubAccess } from "../../src/pull/hub-access.ts";
import { parseRepositoryName } from "../../src/pull/repository-name.ts";
import { parseRetryAfter } from "../../src/core/retry-after.ts";
import { temporaryFolder } from "../temporary-folder.ts";

describe("parseRepositoryName", () => {
  test("takes owner and name apart", () => {
    expect(parseRepositoryName("baidu/ERNIE-4.5-VL-28B-A3B-PT")).toEqual({ owner: "baidu", name: "ERNIE-4.5-VL-28B-A3B-PT" });
  });

  test("takes names as long as the hub's longest", () => {
    const longest = "n".repeat(96);

    expect(parseRepositoryName(`${longest}/${longest}`)).toEqual({ owner: longest, name: longest });
  });

  test.each([
    "",
    "name",
    "a/b/c",
    "/name",
    "owner/",
    "../name",
    "owner/..",
    "owner/.hidden",
    "owner/a..b",
    "o/a--b",
    "o/-a",
    "o/a b",
    "o\\a",
    "o/a\n",
    `o/${"n".repeat(97)}`,
  ])("refuses %j", (text) => {
    expect(() => parseRepositoryName(text)).toThrow("expected a repository as owner/name");
  });

  test.each(["baidu/ERNIE-4.5-VL-28B-A3B-Paddle", "baidu/ERNIE-4.5-VL-28B-A3B-paddle"])("names the readable repository for %s", (text) => {
    expect(() => parseRepositoryName(text)).toThrow("pull baidu/ERNIE-4.5-VL-28B-A3B-PT instead");
  });
});

describe("readHubAccess", () => {
  let home: string;
  beforeAll(() => {
    home = temporaryFolder();
    const stored = { ".cache/huggingface": "of the cache", other: "of HF_HOME", xdg: "of XDG", broken: "" };
    for (const [folder, token] of Object.entries(stored)) {
      const place = folder === "xdg" ? "xdg/huggingface" : folder;
      mkdirSync(join(home, place), { recursive: true });
      writeFileSync(join(home, place, "token"), `${token.replaceAll(" ", "_")}\n`);
    }
    writeFileSync(join(home, "two-lines"), "one\ntwo\n");
  });

  test.each<[Record<string, string>, string | undefined]>([
    [{}, "of_the_cache"],
    [{ HF_TOKEN: " hf_named\n" }, "hf_named"],
    [{ HF_TOKEN: "" }, "of_the_cache"],
    [{ HF_HOME: "other" }, "of_HF_HOME"],
    [{ XDG_CACHE_HOME: "xdg" }, "of_XDG"],
    [{ HF_HOME: "other", HF_TOKEN_PATH: "xdg/huggingface/token" }, "of_XDG"],
    [{ HF_TOKEN_PATH: "nowhere" }, undefined],
    [{ HF_HOME: "broken" }, undefined],
  ])("with %j the token is %s", (env, token) => {
    const absolute = Object.entries(env).map(([key, value]) => [key, key === "HF_TOKEN" ? value : join(home, value)]);

    expect(readHubAccess(Object.fromEntries(absolute), home).token).toBe(token);
  });

  test("refuses a token of several lines without showing it", () => {
    expect(() => readHubAccess({ HF_TOKEN_PATH: join(home, "two-lines") }, home)).toThrow(
      /two-lines: expected a token without spaces(?!.*one)/,
    );
  });

  test.each([
    ["http://127.0.0.1:8080/", "http://127.0.0.1:8080"],
    ["https://mirror.example/hub//", "https://mirror.example/hub"],
  ])("takes HF_ENDPOINT %s", (text, endpoint) => {
    expect(readHubAccess({ HF_ENDPOINT: text }, home).endpoint).toBe(endpoint);
  });

  test.each(["mirror.example", "ftp://mirror.example", "https://user:word@mirror.example", "https://mirror.example/?a=1"])(
    "refuses HF_ENDPOINT %s",
    (text) => {
      expect(() => readHubAccess({ HF_ENDPOINT: text }, home)).toThrow(/^HF_ENDPOINT: expected an address/);
    },
  );
});

test.each([
  [null, undefined],
  ["30", 30_000],
  ["Thu, 01 Jan 1970 00:01:00 GMT", 50_000],
  ["0", undefined],
  ["Thu, 01 Jan 1970 00:00:00 GMT", undefined],
  ["soon", undefined],
])("Retry-After %s means %s ms", (header, waitMs) => {
  expect(parseRetryAfter(header, 10_000)).toBe(waitMs);
});
