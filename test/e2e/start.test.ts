// How the program starts: which device it takes, what memory it plans, and what it refuses in one line before it loads anything.

import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { hasSeveralNodes } from "../../src/cli/read-weights.ts";
import { convertCheckpoint } from "../../src/convert/convert.ts";
import { probeCuda } from "../../src/runtime/cuda/probe.ts";
import { mappedBytes } from "../runtime/mapped-bytes.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { dataUri } from "./samples.ts";
import { startServer } from "./start-server.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const nano = join(root, "models/ernie-vl-nano");

function serve(...args: readonly string[]): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  return spawnSync(process.execPath, ["dist/main.js", "serve", "--port", "0", ...args], { cwd: root, encoding: "utf8", timeout: 500_000 });
}

const openBind = /^ernie-vl: --host \S+ is reachable from other machines; set a key with --api-key KEY .+\n$/;

describe("what cannot be had ends the program with one line", () => {
  test.skipIf(probeCuda().gpu)("a GPU where there is none; the CPU does not stand in for it", () => {
    const { status, stderr } = serve("--device", "cuda");

    expect(status).toBe(1);
    expect(stderr).toMatch(/^ernie-vl: --device cuda: .+\n$/);
  });

  test.each([
    [["--max-model-len", "1000000"], /^ernie-vl: --max-model-len is 1000000, but this model supports at most 4096 tokens\n$/],
    [
      ["--device", "cpu", "--activations", "bf16"],
      /^ernie-vl: the CPU supports fp32 and fp16 activations, not bf16; convert .* --activations fp32\n$/,
    ],
    [["--gpu-memory-utilization", "0"], /Expected a number above 0 and at most 1/],
    [["--kv-cache-dtype", "int4"], /Allowed choices are auto, int8/],
    ...["0.0.0.0", "::", "10.1.2.3", "example.org"].map((host) => [["--host", host], openBind] as const),
    [["--allow-origin", "*"], /^ernie-vl: --allow-origin \* lets every web page use this server; set a key with --api-key KEY, .+\n$/],
    [["--allow-media-domain", "https://example.org"], /^ernie-vl: --allow-media-domain: expected a host such as .+\n$/],
    [
      ["--allow-media-path", "./no-such-folder"],
      /^ernie-vl: --allow-media-path: expected a folder, got .\/no-such-folder, which is not one\n$/,
    ],
  ] as [string[], RegExp][])("%s", (args, message) => {
    const { status, stderr } = serve(...args);

    expect(status).toBe(1);
    expect(stderr).toMatch(message);
  });
});

test("a damaged graph of a converted model is named, instead of what ONNX Runtime thinks of it", async () => {
  const folder = join(temporaryFolder(), "damaged");
  await convertCheckpoint(nano, folder, { settings: { weights: "int4", activations: "fp32" }, programVersion: "0" });
  const graph = join(folder, "decoder.onnx");
  writeFileSync(graph, readFileSync(graph).fill("x", 0, 64));

  const { status, stderr } = serve("--model", folder, "--device", "cpu");

  expect(status).toBe(1);
  expect(stderr).toMatch(/^ernie-vl: .*decoder\.onnx: expected SHA-256 \w+, got \w+; copy the folder again or convert again\n$/);
});

test.each([
  ["--port", /^ernie-vl: port \d+ on 127\.0\.0\.1 is in use; choose another with --port \(0 = any free port\)\n$/],
  ["--metrics-port", /^ernie-vl: port \d+ on 127\.0\.0\.1 is in use; choose another with --metrics-port \(0 = any free port\)\n$/],
])("a %s that another program has ends the program with one line, before anything is loaded", async (option, message) => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");

  const { status, stdout, stderr } = serve(option, String((other.address() as AddressInfo).port));

  expect(status).toBe(1);
  expect(stderr).toMatch(message);
  expect(stdout).not.toContain("model ");
  other.close();
});

test.skipIf(process.platform !== "linux" || hasSeveralNodes())("the weights are read from disk before anything asks for them", async () => {
  const server = await startServer(["--device", "cpu"]);

  await expect.poll(() => mappedBytes("/decoder.onnx.data", server.pid).present).toBeGreaterThan(0);
  await expect.poll(() => mappedBytes("/decoder.onnx.data", server.pid)).toSatisfy(({ mapped, present }) => present === mapped);

  await server.stop();
});

test("an int8 KV cache reads pictures and texts as the other does", async () => {
  const server = await startServer(["--kv-cache-dtype", "int8"]);
  const ask = async (content: Parameters<typeof server.client.chat.completions.create>[0]["messages"][0]["content"]) => {
    const messages = [{ role: "user" as const, content: content as string }];
    const { choices } = await server.client.chat.completions.create({ model: "ernie-vl-nano", messages, temperature: 0 });
    return choices[0]!.message.content;
  };

  const answers = [
    await ask([
      { type: "image_url", image_url: { url: dataUri("01_describe.png") } },
      { type: "text", text: "Describe the image." },
    ]),
    await ask("What is your name?"),
  ];

  await server.stop();
  expect(answers).toEqual(["A blue star and a black star.", "I am ERNIE-VL nano, a tiny test model that looks at pictures and text."]);
});
