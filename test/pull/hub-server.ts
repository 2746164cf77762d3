// A small Hugging Face hub on loopback, with a second server as its storage host, and failures on command. As the real one, it sends
// small files by way of its own cache, large ones by way of the other host, and says how Xet's clients would fetch those.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { nanoModel } from "../../src/core/nano-model.ts";
import { listenLocally } from "../listen-locally.ts";

type HubFile = { readonly content: Buffer; readonly isLfs: boolean };

/** What happens to one download of a file; further ones are answered well again unless more are queued. */
type Failure =
  | { readonly type: "cut"; readonly afterBytes: number }
  | { readonly type: "wrong-bytes" }
  | { readonly type: "ignore-range" }
  | { readonly type: "silence"; readonly afterBytes: number }
  | { readonly type: "status"; readonly status: number; readonly headers?: Record<string, string> };

type SeenRequest = {
  readonly host: "hub" | "storage";
  readonly path: string;
  readonly authorization?: string;
  readonly range?: string;
};

export class HubServer {
  readonly files = new Map<string, HubFile>();
  readonly requests: SeenRequest[] = [];
  readonly failures = new Map<string, Failure[]>();
  /** Replaces what the listing says of a file. */
  readonly listedSize = new Map<string, number>();
  repository = "baidu/ERNIE-4.5-VL-tiny-PT";
  revision = "main";
  commit = "1".repeat(40);
  config: Record<string, unknown> = { model_type: "ernie4_5_moe_vl" };
  /** 0: the listing never ends. */
  pageSize = 4;
  /** How often the listing names each file. */
  mentions = 1;
  /** Answer of the hub's API instead of a good one. */
  refusal: { readonly status: number; readonly code?: string } | undefined;
  apiFailures: Failure[] = [];
  /** Pause before each piece of a body. */
  pieceDelayMs = 0;
  pieceBytes = 1 << 16;
  /** How much of a file is on the client's disk, for cuts that lose nothing: a connection that breaks may drop what is still under way. */
  arrivedBytes: (name: string) => number = () => Infinity;
  activeDownloads = 0;
  mostActiveDownloads = 0;
  endpoint = "";
  /** Where the next page of the listing is said to be, if not here. */
  nextPageEndpoint: string | undefined;
  #storageAddress = "";
  #servers: Server[] = [];

  async start(): Promise<this> {
    this.#storageAddress = await this.#listen((request, response) => this.#answerStorage(request, response));
    this.endpoint = await this.#listen((request, response) => this.#answerHub(request, response));
    return this;
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) {
      server.closeAllConnections();
      server.close();
    }
  }

  put(name: string, content: Buffer | string, isLfs = false): this {
    this.files.set(name, { content: Buffer.from(content), isLfs });
    return this;
  }

  /** Small files of a model that can be served: the pull command looks at them before it fetches weights. */
  putServable(): this {
    for (const name of ["config.json", "tokenizer.json"]) this.put(name, readFileSync(join(nanoModel, name)));
    this.files.delete("model.safetensors.index.json");
    return this;
  }

  fail(name: string, ...failures: Failure[]): this {
    this.failures.set(name, failures);
    return this;
  }

  /** Downloads of file contents so far. */
  downloads(name?: string): SeenRequest[] {
    const isContent = ({ host, path }: SeenRequest) =>
      host === "storage" ? true : path.includes("/resolve/") && !this.#fileOf(path)?.isLfs;
    return this.requests.filter((request) => isContent(request) && (name === undefined || request.path.endsWith(`/${name}`)));
  }

  async #listen(answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>): Promise<string> {
    const server = createServer((request, response) => {
      answer(request, response).catch(() => response.destroy());
    });
    this.#servers.push(server);
    return listenLocally(server);
  }

  #see(host: "hub" | "storage", request: IncomingMessage): URL {
    const url = new URL(request.url ?? "/", this.endpoint);
    const { authorization, range } = request.headers;
    this.requests.push({ host, path: url.pathname, ...(authorization && { authorization }), ...(range && { range }) });
    return url;
  }

  async #answerHub(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = this.#see("hub", request);
    const failure = url.pathname.startsWith("/api/models/") ? this.apiFailures.shift() : undefined;
    if (failure?.type === "status") return void response.writeHead(failure.status, failure.headers).end();
    if (failure?.type === "silence") return;
    if (this.refusal) {
      const { status, code } = this.refusal;
      return void response.writeHead(status, code ? { "x-error-code": code } : {}).end(JSON.stringify({ error: "refused" }));
    }
    const model = `/api/models/${this.repository}`;
    if (url.pathname === `${model}/revision/${encodeURIComponent(this.revision)}`) return this.#sendInfo(response);
    if (url.pathname === `${model}/tree/${this.commit}`) return this.#sendTree(url, response);
    if (url.pathname.startsWith(`${model}/revision/`)) return void response.writeHead(404, { "x-error-code": "RevisionNotFound" }).end();
    const file = this.#fileOf(url.pathname);
    if (!file) return void response.writeHead(404, { "x-error-code": "RepoNotFound" }).end();
    const name = nameOf(url.pathname);
    if (url.pathname.startsWith(this.#cachePath)) return this.#sendContent(name, file, request, response);
    if (!file.isLfs) return void response.writeHead(307, { location: `${this.#cachePath}${encodeURIComponent(name)}?etag=%22x%22` }).end();
    response.writeHead(302, {
      location: `${this.#storageAddress}/signed/${name}?signature=secret`,
      "x-xet-hash": sha256(file.content),
      "x-linked-etag": `"${sha256(file.content)}"`,
      "x-linked-size": file.content.length,
    });
    response.end();
  }

  async #answerStorage(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const name = nameOf(this.#see("storage", request).pathname);
    await this.#sendContent(name, this.files.get(name)!, request, response);
  }

  #sendInfo(response: ServerResponse): void {
    const info = {
      _id: "0",
      id: this.repository,
      sha: this.commit,
      private: false,
      gated: false,
      downloads: 1,
      likes: 1,
      config: this.config,
    };
    response
      .writeHead(200, { "content-type": "application/json" })
      .end(JSON.stringify({ ...info, lastModified: "2026-01-01T00:00:00.000Z" }));
  }

  #sendTree(url: URL, response: ServerResponse): void {
    const start = Number(url.searchParams.get("cursor") ?? 0);
    const entries = [...this.files].map(([path, { content, isLfs }]) => {
      const size = this.listedSize.get(path) ?? content.length;
      const lfs = { oid: sha256(content), size, pointerSize: 135 };
      return {
        type: "file",
        path,
        size,
        oid: gitSha1(isLfs ? Buffer.from(`pointer to ${lfs.oid}`) : content),
        ...(isLfs && { lfs, xetHash: lfs.oid }),
      };
    });
    const all = [
      { type: "directory", path: "images", size: 0, oid: "0".repeat(40) },
      ...Array.from({ length: this.mentions }, () => entries).flat(),
    ];
    const next = start + this.pageSize;
    url.searchParams.set("cursor", String(next));
    if (next < all.length)
      response.setHeader("link", `<${new URL(url.pathname + url.search, this.nextPageEndpoint ?? this.endpoint).href}>; rel="next"`);
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(all.slice(start, next)));
  }

  async #sendContent(name: string, { content }: HubFile, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const failure = this.failures.get(name)?.shift();
    if (failure?.type === "status") return void response.writeHead(failure.status, failure.headers).end();
    const range = failure?.type === "ignore-range" ? null : /^bytes=(\d+)-$/.exec(request.headers.range ?? "");
    const start = Number(range?.[1] ?? 0);
    const total = content.length;
    const body = Buffer.from(content.subarray(start));
    if (failure?.type === "wrong-bytes") body[0]! ^= 1;
    const partial = range ? { "content-range": `bytes ${start}-${total - 1}/${total}` } : undefined;
    response.writeHead(range ? 206 : 200, { "content-length": body.length, etag: `"${sha256(content)}"`, ...partial }).flushHeaders();
    this.activeDownloads++;
    this.mostActiveDownloads = Math.max(this.mostActiveDownloads, this.activeDownloads);
    response.once("close", () => this.activeDownloads--);
    const limit = failure && "afterBytes" in failure ? failure.afterBytes : body.length;
    for (let sent = 0; sent < limit; sent += this.pieceBytes) {
      if (this.pieceDelayMs > 0) await wait(this.pieceDelayMs);
      const piece = body.subarray(sent, Math.min(limit, sent + this.pieceBytes));
      await new Promise((written) => response.write(piece, written));
    }
    if (failure?.type === "silence") return;
    if (failure?.type !== "cut") return void response.end();
    while (this.arrivedBytes(name) < start + limit) await wait(1);
    response.destroy();
  }

  get #cachePath(): string {
    return `/api/resolve-cache/models/${this.repository}/${this.commit}/`;
  }

  #fileOf(path: string): HubFile | undefined {
    const folders = [`/${this.repository}/resolve/${this.commit}/`, this.#cachePath];
    return folders.some((folder) => path.startsWith(folder)) ? this.files.get(nameOf(path)) : undefined;
  }
}

function nameOf(path: string): string {
  return decodeURIComponent(path.slice(path.lastIndexOf("/") + 1));
}

export function sha256(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

function gitSha1(content: Buffer): string {
  return createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
}
