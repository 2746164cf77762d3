// The page at `/`: what is sent, how long browsers keep it, and what it may do.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeApp } from "./make-app.ts";

const html = "<!doctype html><title>page</title>";
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "web-page-"));
  mkdirSync(join(folder, "assets"));
  writeFileSync(join(folder, "index.html"), html);
  writeFileSync(join(folder, "assets/main-ABC.js"), "run()");
  writeFileSync(join(folder, "assets/stars-ABC.png"), "picture");
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("a built page", () => {
  test("is at /, in HTML, and asked for anew each time", async () => {
    const response = await makeApp(undefined, { webFolder: folder }).app.request("/");

    expect(await response.text()).toBe(html);
    expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(response.headers.get("cache-control")).toBe("no-cache");
  });

  test.each([
    ["main-ABC.js", "text/javascript; charset=utf-8"],
    ["stars-ABC.png", "image/png"],
  ])("has %s, which browsers keep for ever", async (name, type) => {
    const response = await makeApp(undefined, { webFolder: folder }).app.request(`/assets/${name}`);

    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe(type);
    expect(response.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
  });

  test("is compressed for who can read that, but pictures are not", async () => {
    const { app } = makeApp(undefined, { webFolder: folder });
    const headers = { "accept-encoding": "br, gzip" };

    const script = await app.request("/assets/main-ABC.js", { headers });
    const picture = await app.request("/assets/stars-ABC.png", { headers });

    expect(script.headers.get("content-encoding")).toBe("gzip");
    expect(gunzipSync(await script.arrayBuffer()).toString()).toBe("run()");
    expect(picture.headers.get("content-encoding")).toBeNull();
    expect(await picture.text()).toBe("picture");
  });

  test.each(["/", "/assets/main-ABC.js"])("at %s may load from here only, run no inline script and be in no frame", async (path) => {
    const { headers } = await makeApp(undefined, { webFolder: folder }).app.request(path);

    const policy = headers.get("content-security-policy")!.split("; ");
    expect(policy).toEqual(
      expect.arrayContaining([
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
      ]),
    );
    expect(policy.join()).not.toContain("unsafe");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
  });

  test("needs no key, while the API does", async () => {
    const { app } = makeApp(undefined, { webFolder: folder, apiKeys: ["secret"] });

    const statuses = await Promise.all(["/", "/assets/main-ABC.js", "/v1/models"].map(async (path) => (await app.request(path)).status));

    expect(statuses).toEqual([200, 200, 401]);
  });

  test.each(["/assets/none.js", "/assets/..%2Findex.html", "/assets/%2e%2e%2findex.html", "/assets/"])("has no %s", async (path) => {
    expect((await makeApp(undefined, { webFolder: folder }).app.request(path)).status).toBe(404);
  });

  test("is read only", async () => {
    const response = await makeApp(undefined, { webFolder: folder }).app.request("/", { method: "POST" });

    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("GET");
  });
});

test("a page that is not built says what to do", async () => {
  const response = await makeApp(undefined, { webFolder: join(folder, "missing") }).app.request("/");

  expect(response.status).toBe(200);
  expect(await response.text()).toContain("npm run build");
});

test("without a page, / is unknown as any other address", async () => {
  expect((await makeApp().app.request("/")).status).toBe(404);
});
