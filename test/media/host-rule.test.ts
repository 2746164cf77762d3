import { describe, expect, test } from "vitest";
import { UserError } from "../../src/core/errors.ts";
import { findHostRule, parseHostRule } from "../../src/media/host-rule.ts";

const reachOf = (url: string, ...rules: string[]) => findHostRule(new URL(url), rules.map(parseHostRule))?.reach;

describe("a rule covers", () => {
  test.each([
    ["example.org", "https://example.org/a.png"],
    ["example.org", "http://example.org/a.png"],
    ["example.org", "https://EXAMPLE.org:443/"],
    ["example.org", "https://example.org./"],
    ["Example.ORG", "https://example.org/"],
    ["bücher.example", "https://xn--bcher-kva.example/"],
    ["*.example.org", "https://a.example.org/"],
    ["*.example.org", "https://a.b.example.org/"],
    ["*", "https://anything.example/"],
    ["*", "http://8.8.8.8/"],
    ["*:443", "https://anything.example/"],
    ["*:8080", "http://anything.example:8080/"],
    ["*.example.org:8443", "https://a.example.org:8443/"],
  ])("%s: %s, on public addresses", (rule, url) => {
    expect(reachOf(url, rule)).toBe("public");
  });

  test.each([
    ["127.0.0.1", "http://127.0.0.1/"],
    ["127.0.0.1:9000", "http://127.0.0.1:9000/"],
    ["127.0.0.1:9000", "http://0x7f.1:9000/"],
    ["127.0.0.1:65535", "http://127.0.0.1:65535/"],
    ["[::1]:9000", "http://[0:0::1]:9000/"],
    ["[::1]", "http://[::1]/"],
    ["images.lan:9000", "http://images.lan:9000/"],
    ["localhost:80", "http://localhost/"],
    ["*:9000", "http://localhost:9000/", "localhost:9000"],
  ])("%s: %s, on local addresses too", (rule, url, ...more) => {
    expect(reachOf(url, rule, ...more)).toBe("local");
  });
});

describe("no rule covers", () => {
  test.each([
    ["example.org", "https://evil.org/"],
    ["example.org", "https://example.org.evil.org/"],
    ["example.org", "https://notexample.org/"],
    ["example.org", "https://a.example.org/"],
    ["example.org", "https://example.org:8443/"],
    ["example.org", "http://example.org:443/"],
    ["example.org", "https://evil.org\\@example.org/"],
    ["example.org", "https://evil.org#@example.org/"],
    ["example.org", "https://evil.org?@example.org/"],
    ["example.org", "https://example.org@evil.org/"],
    ["example.org", "https://example.org%2eevil.org/"],
    ["example.org", "https://ехample.org/"],
    ["*.example.org", "https://example.org/"],
    ["*.example.org", "https://evilexample.org/"],
    ["*.example.org", "https://a.example.org:8443/"],
    ["*", "https://anything.example:22/"],
    ["127.0.0.1:9000", "http://127.0.0.1:9001/"],
    ["127.0.0.1:9000", "http://127.0.0.1/"],
    ["127.0.0.1:9000", "http://localhost:9000/"],
  ])("with %s: %s", (rule, url) => {
    expect(reachOf(url, rule)).toBeUndefined();
  });
});

test.each([
  "",
  "https://example.org",
  "example.org/pictures",
  "user@example.org",
  "a b",
  "*example.org",
  "*.",
  "a.*.org",
  "::1",
  "[::1",
  "example.org:65536",
  "example.org:port",
  "256.256.256.256",
])("%j is no host, and the start says so", (text) => {
  expect(() => parseHostRule(text)).toThrow(UserError);
  expect(() => parseHostRule(text)).toThrow(/^--allow-media-domain: expected a host such as .+, got /);
});
