import { mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { UserError } from "../../src/core/errors.ts";
import { recordFileName } from "../../src/pull/pull-record.ts";
import type { PullObserver } from "../../src/pull/pull-repository.ts";
import { PullFixture, shard, shardBytes, shards } from "./pull-fixture.ts";

let fixture: PullFixture;

beforeEach(async () => {
  fixture = await new PullFixture().start();
});

afterEach(() => fixture.stop());

describe("downloading", () => {
  test("brings every file of all pages of the listing", async () => {
    await fixture.pull();

    fixture.expectComplete();
    expect(fixture.hub.downloads()).toHaveLength(fixture.hub.files.size - 1); // the empty README.md needs no download
  });

  test("has everything but the weights looked at before it fetches them", async () => {
    const refuse = (folder: string, weights: readonly string[]) => {
      expect(weights).toEqual(shards);
      expect(readdirSync(folder).toSorted()).toEqual(
        [recordFileName, "README.md", "config.json", "model.safetensors.index.json", "tokenizer.model"].toSorted(),
      );
      throw new UserError("config.json: not this one");
    };

    await expect(fixture.pull({ inspect: refuse })).rejects.toThrow("config.json: not this one");
    expect(shards.flatMap((name) => fixture.hub.downloads(name))).toEqual([]);

    await fixture.pull();
    fixture.expectComplete();
    expect(fixture.hub.downloads("tokenizer.model")).toHaveLength(1);
  });

  test("downloads nothing the second time", async () => {
    await fixture.pull();
    fixture.hub.requests.length = 0;

    await fixture.pull();

    expect(fixture.hub.downloads()).toEqual([]);
    expect(fixture.plans[1]?.missing).toEqual([]);
    fixture.expectComplete();
  });

  test("accepts files that came by another way after hashing them", async () => {
    mkdirSync(fixture.folder);
    for (const [name, { content }] of fixture.hub.files) writeFileSync(join(fixture.folder, name), content);

    await fixture.pull();
    await fixture.pull();

    expect(fixture.hub.downloads()).toEqual([]);
    expect(fixture.notes.filter((line) => line.startsWith("verifying"))).toHaveLength(fixture.hub.files.size); // not again by the second pull
  });

  test.each([
    "model.pdparams",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "model.gguf",
    "model.onnx",
    "optimizer.safetensors",
    "modeling_ernie4_5_vl.py",
    "../model.safetensors",
    "/model.safetensors",
    "a/../../model.safetensors",
    "..\\model.safetensors",
    "onnx/model.safetensors",
    ".git",
  ])("leaves out %s", async (name) => {
    const needed = [...fixture.hub.files.keys()];
    fixture.hub.put(name, "unwanted");

    await fixture.pull();

    fixture.expectComplete(needed);
    expect(readdirSync(fixture.root)).toEqual(["model"]);
  });

  test("has at most the allowed number of downloads open, and that many", async () => {
    fixture.hub.pieceDelayMs = 30;

    await fixture.pull({ transfer: { parallelFiles: 2 } });

    expect(fixture.hub.mostActiveDownloads).toBe(2);
    fixture.expectComplete();
  });

  test("tells a growing number of bytes per file", async () => {
    const seen: number[] = [];

    await fixture.pull({ observer: { progressed: ({ name }, bytes) => name === shards[0] && seen.push(bytes) } });

    expect(seen[0]).toBe(0);
    expect(seen.at(-1)).toBe(shardBytes);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  });
});

describe("going on", () => {
  test("continues a download that is cut again and again with the bytes that are missing", async () => {
    fixture.hub.fail(shards[0], ...Array.from({ length: 6 }, () => ({ type: "cut", afterBytes: 40_000 }) as const));

    await fixture.pull();

    fixture.expectComplete();
    const ranges = fixture.hub.downloads(shards[0]).map(({ range }) => range);
    expect(ranges).toEqual([undefined, ...[40_000, 80_000, 120_000, 160_000, 200_000, 240_000].map((start) => `bytes=${start}-`)]);
  });

  test("continues what an earlier pull left", async () => {
    mkdirSync(fixture.folder);
    writeFileSync(fixture.partOf(shards[1]), shard(1).subarray(0, 123_456));

    await fixture.pull();

    fixture.expectComplete();
    expect(fixture.hub.downloads(shards[1]).map(({ range }) => range)).toEqual(["bytes=123456-"]);
    expect(fixture.plans[0]?.missing.find(({ file }) => file.name === shards[1])?.arrivedBytes).toBe(123_456);
  });

  test("keeps what has arrived when it is stopped, and goes on from there", async () => {
    const stop = new AbortController();
    const reason = new Error("stopped by the operator");
    fixture.hub.pieceDelayMs = 20;
    const progressed: PullObserver["progressed"] = ({ name }, bytes) => {
      if (name === shards[0] && bytes > 100_000) stop.abort(reason);
    };
    await expect(fixture.pull({ signal: stop.signal, observer: { progressed } })).rejects.toBe(reason);
    const arrived = readFileSync(fixture.partOf(shards[0])).length;
    expect(arrived).toBeGreaterThan(100_000);
    fixture.hub.requests.length = 0;

    await fixture.pull();

    fixture.expectComplete();
    expect(fixture.hub.downloads(shards[0]).map(({ range }) => range)).toEqual([`bytes=${arrived}-`]);
  });

  test("can be stopped while it checks files that are there", async () => {
    mkdirSync(fixture.folder);
    for (const [name, { content }] of fixture.hub.files) writeFileSync(join(fixture.folder, name), content);
    const stop = new AbortController();
    const reason = new Error("stopped by the operator");

    await expect(fixture.pull({ signal: stop.signal, observer: { note: () => stop.abort(reason) } })).rejects.toBe(reason);
  });

  test("fetches a file anew when its part is damaged", async () => {
    mkdirSync(fixture.folder);
    writeFileSync(fixture.partOf(shards[0]), Buffer.alloc(1000));

    await fixture.pull();

    fixture.expectComplete();
    expect(fixture.hub.downloads(shards[0]).map(({ range }) => range)).toEqual(["bytes=1000-", undefined]);
    expect(fixture.notes).toEqual([expect.stringContaining("expected sha256")]);
  });

  test("fetches a file anew when its part is longer than the file", async () => {
    mkdirSync(fixture.folder);
    writeFileSync(fixture.partOf(shards[0]), Buffer.alloc(shardBytes + 1));

    await fixture.pull();

    fixture.expectComplete();
  });

  test("fetches a file anew when the server ignores the range", async () => {
    mkdirSync(fixture.folder);
    writeFileSync(fixture.partOf(shards[0]), shard(0).subarray(0, 1000));
    fixture.hub.fail(shards[0], { type: "ignore-range" });

    await fixture.pull();

    fixture.expectComplete();
  });

  test("gives up a silent connection and continues on another", async () => {
    fixture.hub.fail(shards[0], { type: "silence", afterBytes: 65_536 });

    await fixture.pull({ transfer: { stallMs: 2_000 } });

    fixture.expectComplete();
    expect(fixture.notes).toEqual([expect.stringContaining("stalled")]);
  });

  test("does not give up a slow connection, however long it takes, nor one to an address that has expired meanwhile", async () => {
    for (const name of shards.slice(1)) fixture.hub.files.delete(name);
    fixture.hub.pieceBytes = 2 ** 14;
    fixture.hub.pieceDelayMs = 150;
    fixture.hub.fail(shards[0], { type: "status", status: 403 });

    await fixture.pull({ transfer: { stallMs: 2_000 } });

    fixture.expectComplete();
    expect(fixture.notes).toEqual([expect.stringContaining("refused a file (403)")]);
  });

  test("repairs a file that was changed on the disk", async () => {
    await fixture.pull();
    const damaged = Buffer.from(shard(2));
    damaged[7]! ^= 1;
    writeFileSync(join(fixture.folder, shards[2]), damaged);
    utimesSync(join(fixture.folder, shards[2]), 1, 1);
    fixture.hub.requests.length = 0;

    await fixture.pull();

    fixture.expectComplete();
    expect(fixture.hub.downloads()).toHaveLength(1);
    expect(fixture.plans[1]?.missing).toMatchObject([{ file: { name: shards[2] }, replaces: true }]);
  });
});

describe("a changed revision", () => {
  test("fetches only what changed, starts its parts anew and removes what is gone", async () => {
    await fixture.pull();
    for (const name of [shards[0], shards[2]]) writeFileSync(fixture.partOf(name), "of the old content");
    fixture.hub.put(shards[0], shard(5), true).files.delete(shards[2]);
    fixture.hub.commit = "2".repeat(40);
    fixture.hub.requests.length = 0;

    await fixture.pull();

    fixture.expectComplete();
    expect(fixture.hub.downloads().map(({ range }) => range)).toEqual([undefined]);
    expect(fixture.notes).toEqual([`${shards[2]} is no longer in the repository and was deleted`]);
  });

  test("neither deletes nor writes anything while another pull is in the folder", async () => {
    const lock = () => {
      throw new UserError("being written");
    };
    await fixture.pull();
    const before = [...fixture.hub.files.keys()];
    await fixture.pull({ lock }); // changes nothing

    fixture.hub.files.delete(shards[2]);
    await expect(fixture.pull({ lock })).rejects.toThrow("being written");
    rmSync(join(fixture.folder, recordFileName));
    await expect(fixture.pull({ lock })).rejects.toThrow("being written");

    expect(readdirSync(fixture.folder).toSorted()).toEqual(before.toSorted());
  });

  test("keeps a file that is gone from the hub but was changed here", async () => {
    await fixture.pull();
    writeFileSync(join(fixture.folder, "README.md"), "my notes");
    fixture.hub.files.delete("README.md");

    await fixture.pull();

    expect(readFileSync(join(fixture.folder, "README.md"), "utf8")).toBe("my notes");
  });

  test("asks for the named revision and takes all files from its commit", async () => {
    fixture.hub.revision = "refs/pr/1";
    await fixture.pull({ revision: "refs/pr/1" });

    fixture.expectComplete();
  });
});
