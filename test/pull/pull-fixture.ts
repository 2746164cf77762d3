// A hub with a small checkpoint, a folder to pull it into, and what the pull told.

import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import type { HubAccess } from "../../src/pull/hub-access.ts";
import { partPath, type PullPlan } from "../../src/pull/pull-plan.ts";
import { recordFileName } from "../../src/pull/pull-record.ts";
import { pullRepository, type PullObserver, type TransferSettings } from "../../src/pull/pull-repository.ts";
import { parseRepositoryName } from "../../src/pull/repository-name.ts";
import { HubServer, sha256 } from "./hub-server.ts";

export const shards = ["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"] as const;
export const shardBytes = 300_000;

type Asked = {
  token?: string;
  access?: HubAccess;
  signal?: AbortSignal;
  revision?: string;
  observer?: Partial<PullObserver>;
  transfer?: Partial<TransferSettings>;
  inspect?: (folder: string, weights: readonly string[]) => void;
  lock?: () => void;
};

export class PullFixture {
  readonly hub = new HubServer();
  readonly root = mkdtempSync(join(tmpdir(), "ernie-vl-pull-"));
  folder = join(this.root, "model");
  readonly notes: string[] = [];
  readonly plans: PullPlan[] = [];

  async start(): Promise<this> {
    await this.hub.start();
    this.hub.arrivedBytes = (name) => statSync(this.partOf(name), { throwIfNoEntry: false })?.size ?? 0;
    this.hub.put("config.json", '{"model_type":"ernie4_5_moe_vl"}').put("README.md", "").put("tokenizer.model", shard(9), true);
    this.hub.put("model.safetensors.index.json", "{}");
    shards.forEach((name, i) => this.hub.put(name, shard(i), true));
    return this;
  }

  async stop(): Promise<void> {
    await this.hub.stop();
    rmSync(this.root, { recursive: true, force: true });
  }

  async pull({
    token,
    access,
    signal,
    revision = "main",
    observer,
    transfer,
    inspect = () => {},
    lock = () => {},
  }: Asked = {}): Promise<void> {
    const request = {
      repository: parseRepositoryName(this.hub.repository),
      revision,
      folder: this.folder,
      access: access ?? { endpoint: this.hub.endpoint, token, proxies: { http: "", https: "", except: "" } },
      signal: signal ?? new AbortController().signal,
      inspect,
      lock,
    };
    const remember: PullObserver = {
      note: (line) => this.notes.push(line),
      planned: (_listing, plan) => this.plans.push(plan),
      started: () => {},
      progressed: () => {},
      finished: () => {},
    };
    await pullRepository(request, { ...remember, ...observer }, { parallelFiles: 2, backoffMs: 1, stallMs: 60_000, ...transfer });
  }

  /** Path of the part file of what the hub has now. */
  partOf(name: string): string {
    const { content } = this.hub.files.get(name)!;
    return partPath(this.folder, { name, bytes: content.length, hash: { algorithm: "sha256", hex: sha256(content) } });
  }

  /** The folder holds exactly what the hub does, and no parts. */
  expectComplete(names: readonly string[] = [...this.hub.files.keys()]): void {
    expect(readdirSync(this.folder).toSorted()).toEqual([recordFileName, ...names].toSorted());
    for (const name of names) expect(readFileSync(join(this.folder, name)).equals(this.hub.files.get(name)!.content), name).toBe(true);
  }
}

export function shard(seed: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: shardBytes }, (_, i) => (i * (2 * seed + 1) + (i >> 8)) & 255));
}
