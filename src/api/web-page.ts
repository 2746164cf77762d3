// The page at `/` and its assets: small files, read and compressed once at start. They need no key; the requests that the page sends do.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import type { Context, Handler } from "hono";
import { RequestError } from "../core/errors.ts";
import { securityHeadersWith, sendFile, toWebFile, type WebFile } from "./web-file.ts";

const contentTypes: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
};

/**
 * Nothing from other origins, no inline script or style, no way for text to become markup (trusted types), no framing. `data:` is for
 * pictures and videos that a user attaches; `blob:` is for exports and for documents that a user opens.
 */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "font-src 'self'",
  "img-src 'self' data: blob:",
  "media-src data: blob:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const securityHeaders = securityHeadersWith(contentSecurityPolicy);

const notBuilt = "This is an ernie-vl server; its API is at /v1. The web page is not built: run `npm run build` and restart the server.\n";

/** The routes of the built page in `folder` (index.html and assets/). Without a built page, `/` says so. */
export function webRoutes(folder: string): (readonly ["GET", path: string, handler: Handler])[] {
  const index = join(folder, "index.html");
  if (!existsSync(index)) return [["GET", "/", (c) => c.text(notBuilt, 200, securityHeaders)]];
  const page = readWebFile(index);
  const assetFolder = join(folder, "assets");
  const assets = new Map(readdirSync(assetFolder).map((name) => [name, readWebFile(join(assetFolder, name))]));
  const showAsset: Handler = (c) => {
    const asset = assets.get(c.req.param("name")!);
    if (!asset) throw new RequestError("there is no such file; reload the page", { status: 404, code: "unknown_url" });
    // The name contains a hash of the content.
    return send(c, asset, "public, max-age=31536000, immutable");
  };
  return [
    ["GET", "/", (c) => send(c, page, "no-cache")],
    ["GET", "/assets/:name", showAsset],
  ];
}

function readWebFile(path: string): WebFile {
  return toWebFile(readFileSync(path), contentTypes[extname(path)] ?? "application/octet-stream");
}

function send(c: Context, file: WebFile, cacheControl: string): Response {
  return sendFile(c, file, { ...securityHeaders, "cache-control": cacheControl });
}
