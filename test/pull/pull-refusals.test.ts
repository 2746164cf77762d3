import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HubServer } from "./hub-server.ts";
import { PullFixture, shardBytes, shards } from "./pull-fixture.ts";

let fixture: PullFixture;

beforeEach(async () => {
  fixture = await new PullFixture().start();
});

afterEach(() => fixture.stop());

describe("the token", () => {
  test("goes to the hub and to no other host", async () => {
    await fixture.pull({ token: "hf_secret" });

    fixture.expectComplete();
    const tokensOf = (host: string) => fixture.hub.requests.filter((seen) => seen.host === host).map(({ authorization }) => authorization);
    expect(new Set(tokensOf("hub"))).toEqual(new Set(["Bearer hf_secret"]));
    expect(tokensOf("storage")).toEqual([undefined, undefined, undefined, undefined]);
  });

  test("does not go along when the next page of the listing is on another host", async () => {
    const other = await new HubServer().start();
    for (const [name, file] of fixture.hub.files) other.files.set(name, file);
    fixture.hub.nextPageEndpoint = other.endpoint;

    await fixture.pull({ token: "hf_secret" });

    expect(other.requests.map(({ authorization }) => authorization)).toEqual([undefined]);
    await other.stop();
  });
});

describe("refusals", () => {
  test.each([
    { refusal: { status: 401, code: "RepoNotFound" }, message: "set HF_TOKEN" },
    { refusal: { status: 401 }, token: "hf_secret", message: "is invalid or may not read it" },
    { refusal: { status: 403, code: "GatedRepo" }, message: "accept its licence" },
    { refusal: { status: 401, code: "GatedRepo" }, token: "hf_secret", message: "accept its licence" },
    { refusal: { status: 404, code: "RepoNotFound" }, message: "no repository baidu/ERNIE-4.5-VL-tiny-PT" },
    { refusal: { status: 418 }, message: "answered 418" },
  ])("$refusal.status $refusal.code with token $token: $message", async ({ refusal, token, message }) => {
    fixture.hub.refusal = refusal;

    const failed = fixture.pull(token === undefined ? {} : { token });

    await expect(failed).rejects.toMatchObject({ name: "UserError", message: expect.stringContaining(message) });
    await expect(failed).rejects.not.toThrow("hf_secret");
    expect(readdirSync(fixture.root)).toEqual([]);
  });

  test.each([
    { case: "an unknown revision", revision: "v9", arrange: () => {}, message: 'has no revision "v9"' },
    { case: "another model", arrange: () => (fixture.hub.config = { model_type: "llama" }), message: 'got model type "llama"' },
    { case: "no weights", arrange: () => shards.forEach((name) => fixture.hub.files.delete(name)), message: "expected weights" },
    { case: "no config.json", arrange: () => fixture.hub.files.delete("config.json"), message: "expected a config.json" },
    { case: "a disk too small", arrange: () => fixture.hub.listedSize.set(shards[0], 2 ** 50), message: "not enough disk space" },
    { case: "no hub at that address", arrange: () => (fixture.hub.commit = "not a commit"), message: "check HF_ENDPOINT" },
  ])("$case is an error before anything is written", async ({ revision, arrange, message }) => {
    arrange();

    await expect(fixture.pull(revision === undefined ? {} : { revision })).rejects.toMatchObject({
      name: "UserError",
      message: expect.stringContaining(message),
    });
    expect(readdirSync(fixture.root)).toEqual([]);
  });

  test.each([
    { to: "/api/models/again", times: 6, message: "expected at most 5 redirects from 127.0.0.1" },
    { to: "file:///etc/passwd", times: 1, message: "expected a redirect to http or https, got file:" },
    { to: "http://", times: 1, message: "redirects to an invalid address" },
  ])("a hub that redirects to $to, $times times, is an error", async ({ to, times, message }) => {
    fixture.hub.apiFailures = Array.from({ length: times }, () => ({ type: "status", status: 302, headers: { location: to } }));

    await expect(fixture.pull()).rejects.toMatchObject({ name: "UserError", message: expect.stringContaining(message) });
    expect(fixture.hub.requests).toHaveLength(times);
  });

  test("five redirects are followed", async () => {
    const revision = `/api/models/${fixture.hub.repository}/revision/main`;
    fixture.hub.apiFailures = Array.from({ length: 5 }, () => ({ type: "status", status: 302, headers: { location: revision } }));

    await fixture.pull();

    fixture.expectComplete();
  });

  test("a hub that cannot be reached is said at once", async () => {
    await fixture.hub.stop();

    await expect(fixture.pull()).rejects.toThrow(/cannot reach .*ECONNREFUSED.*check the network, HTTPS_PROXY and HF_ENDPOINT/);
    expect(fixture.notes).toEqual([]);
  });

  test("a hub that takes the question and never answers is one that cannot be reached", async () => {
    fixture.hub.apiFailures = [{ type: "silence", afterBytes: 0 }];

    await expect(fixture.pull({ transfer: { stallMs: 200 } })).rejects.toMatchObject({
      name: "UserError",
      message: expect.stringMatching(/cannot reach .* \(no answer in time\); check the network/),
    });
  });

  test("a hub that falls silent later is asked again", async () => {
    fixture.hub.apiFailures = [
      { type: "status", status: 503 },
      { type: "silence", afterBytes: 0 },
    ];
    await fixture.pull({ transfer: { stallMs: 3_000 } });

    expect(fixture.notes.at(-1)).toMatch(/cannot reach .* \(no answer in time\); trying again/);
    fixture.expectComplete();
  });

  test.each([
    ["a listing that never ends", () => (fixture.hub.pageSize = 0)],
    ["an answer that is far too long", () => (fixture.hub.config["padding"] = "x".repeat(2 ** 26))],
  ])("%s is not read to its end", async (_, arrange) => {
    arrange();

    await expect(fixture.pull()).rejects.toMatchObject({
      name: "UserError",
      message: expect.stringMatching(/^http.*: expected at most 67108864 bytes about a repository, got more; check HF_ENDPOINT$/),
    });
    expect(readdirSync(fixture.root)).toEqual([]);
  });

  test("a file that is listed twice is fetched once", async () => {
    fixture.hub.mentions = 2;

    await fixture.pull();

    fixture.expectComplete();
    expect(fixture.hub.downloads(shards[0])).toHaveLength(1);
  });

  test("wrong bytes are deleted and fetched once more, then refused", async () => {
    fixture.hub.fail(shards[0], { type: "wrong-bytes" });
    await fixture.pull();
    fixture.expectComplete();

    rmSync(fixture.folder, { recursive: true });
    fixture.hub.fail(shards[0], { type: "wrong-bytes" }, { type: "wrong-bytes" });

    await expect(fixture.pull()).rejects.toThrow(/^model-00001-of-00003.safetensors: expected sha256 .*, twice; deleted/);
    expect(readdirSync(fixture.folder).filter((name) => name.startsWith(shards[0]))).toEqual([]);
  });

  test("wrong bytes of a small file are noticed by its git hash", async () => {
    fixture.hub.fail("config.json", { type: "wrong-bytes" }, { type: "wrong-bytes" });

    await expect(fixture.pull()).rejects.toThrow(/^config.json: expected git-sha1 .*, twice/);
  });

  test("a file whose size is not the listed one is refused", async () => {
    fixture.hub.listedSize.set(shards[0], shardBytes - 1);

    await expect(fixture.pull()).rejects.toThrow("expected 299999 bytes, got more");
  });

  test("waits as long as a busy hub asks, and gives up at the fifth failure in a row", async () => {
    fixture.hub.apiFailures = [{ type: "status", status: 429, headers: { "retry-after": "2" } }];
    fixture.hub.fail(shards[0], ...Array.from({ length: 5 }, () => ({ type: "status", status: 503 }) as const));

    await expect(fixture.pull()).rejects.toThrow(/failed \(503\), 5 times in a row; run the same command again/);

    // Not the second that the first wait is rounded up to.
    expect(fixture.notes[0]).toMatch(/asks to slow down \(429\); trying again in 2 s$/);
    expect(fixture.notes).toHaveLength(5);
    await fixture.pull();
    fixture.expectComplete();
  });

  test("a connection that breaks five times before anything has come is given up", async () => {
    fixture.hub.fail(shards[0], ...Array.from({ length: 5 }, () => ({ type: "cut", afterBytes: 0 }) as const));

    await expect(fixture.pull()).rejects.toThrow(/5 times in a row; run the same command again/);
  });

  test("a folder that holds another repository stays as it is", async () => {
    await fixture.pull();
    const before = readdirSync(fixture.folder);
    fixture.hub.repository = "baidu/ERNIE-4.5-VL-tiny-Thinking";

    await expect(fixture.pull()).rejects.toThrow("already contains baidu/ERNIE-4.5-VL-tiny-PT; choose another folder");
    expect(readdirSync(fixture.folder)).toEqual(before);
  });

  test("a target that is a file, or below one, is an error", async () => {
    writeFileSync(fixture.folder, "");
    await expect(fixture.pull()).rejects.toThrow("expected a folder or nothing, got a file");

    fixture.folder = join(fixture.folder, "below");
    await expect(fixture.pull()).rejects.toMatchObject({
      name: "UserError",
      message: expect.stringMatching(/: not a directory; .*choose another with --out/),
    });
  });

  // With `recursive`, mkdirSync of Node 20 never returns here.
  test.skipIf(!existsSync("/proc/self"))("so is one below a folder of the system's that takes none", async () => {
    fixture.folder = "/proc/ernie-vl/model";

    await expect(fixture.pull()).rejects.toMatchObject({
      name: "UserError",
      message: "/proc/ernie-vl/model: no such file or directory; check the folder and its permissions, or choose another with --out",
    });
  });

  test.skipIf(!existsSync("/dev/full"))("a full disk ends the pull with what to do", async () => {
    mkdirSync(fixture.folder);
    symlinkSync("/dev/full", fixture.partOf(shards[0]));

    await expect(fixture.pull()).rejects.toMatchObject({
      name: "UserError",
      message: expect.stringMatching(/: no space left on device; free disk space/),
    });
  });
});
