import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { html, prose } from "../../src/api/openapi/html.ts";
import { operationsOf, readDocument } from "./api-document.ts";
import { makeApp } from "./make-app.ts";

describe("/docs", async () => {
  const { app } = makeApp([], { apiKeys: ["key"] });
  const answer = await app.request("/docs");
  const page = await answer.text();

  test("shows every operation and every object of the document, without a key", async () => {
    const document = await readDocument(app);

    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toBe("text/html; charset=utf-8");
    for (const { operationId } of operationsOf(document)) expect(page).toContain(`<article id="${operationId}">`);
    const links = page.match(/href="#[^"]*"/g) ?? [];
    for (const link of links) expect(page).toContain(`id="${link.slice('href="#'.length)}`);
    for (const field of ["temperature", "max_output_tokens", "stop_sequences", "return_token_strs"])
      expect(page).toContain(`>${field}</code>`);
  });

  test("has no script, loads nothing, and its policy allows its own style only", () => {
    const policy = answer.headers.get("content-security-policy")!;
    const style = /<style>(.*?)<\/style>/s.exec(page)![1]!;

    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain(`style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'`);
    expect(policy).not.toMatch(/script-src|unsafe|https?:/);
    expect(page).not.toMatch(/<script|<iframe|<img|\son\w+=|style="|src=|url\(/i);
    expect(page.match(/href="(?!#)[^"]*"/g)).toEqual(['href="data:,"', 'href="openapi.json"']);
  });

  test("comes compressed where that is wanted", async () => {
    const zipped = await app.request("/docs", { headers: { "accept-encoding": "gzip" } });

    expect(zipped.headers.get("content-encoding")).toBe("gzip");
    expect((await zipped.arrayBuffer()).byteLength).toBeLessThan(page.length / 4);
  });
});

test("texts never become markup", () => {
  const text = `<b title="x">&'</b>`;

  expect(html`<p title="${text}">${prose(`\`${text}\``)}</p>`.markup).toBe(
    '<p title="&#60;b title=&#34;x&#34;&#62;&#38;&#39;&#60;/b&#62;"><code>&#60;b title=&#34;x&#34;&#62;&#38;&#39;&#60;/b&#62;</code></p>',
  );
});
