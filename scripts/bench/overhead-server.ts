// A server in its own process with an engine that computes nothing: what remains is HTTP, the template, the tokenizer, the answer parsers and the
// streams. It runs the compiled code, as in production.

import { createAdaptorServer } from "@hono/node-server";
import pino from "pino";
import { ApiKeys } from "../../src/api/api-keys.ts";
import { listen } from "../../src/cli/listen.ts";
import { nanoModel } from "../../src/core/nano-model.ts";
import { fakeEngine, longText } from "./fake-engine.ts";

const contextLength = 8192;

const { createApp } = (await import(compiled("api/app.js"))) as typeof import("../../src/api/app.ts");
const { ServerMetrics } = (await import(compiled("api/metrics.js"))) as typeof import("../../src/api/metrics.ts");
const { createChatService } = (await import(compiled("chat/complete.js"))) as typeof import("../../src/chat/complete.ts");
const { readModelConfig } = (await import(compiled("convert/read-config.js"))) as typeof import("../../src/convert/read-config.ts");
const { createMediaReader } = (await import(compiled("media/media-reader.js"))) as typeof import("../../src/media/media-reader.ts");

const config = readModelConfig(nanoModel);
const script: number[] = [];
const service = createChatService({
  modelFolder: nanoModel,
  config,
  engine: fakeEngine(script),
  loadImage: () => Promise.reject(new Error("no pictures here")),
  contextLength,
  vocabSize: config.text.vocabSize,
  startGrammar: () => {
    throw new Error("no answer has a form here");
  },
});
script.push(...service.tokens.encode(longText));

const stats = () => ({ running: 0, waiting: 0, slotsUsed: 0, kvCacheUsage: 0, preemptions: 0 });
const app = createApp(service, {
  modelId: "fake",
  created: 0,
  contextLength,
  defaultThinking: false,
  generationDefaults: {},
  apiKeys: new ApiKeys([{ key: "key" }]),
  isReady: () => true,
  media: createMediaReader({ domains: [], folders: [] }),
  stats,
  metrics: new ServerMetrics({ modelId: "fake", slotCount: 1, stats }),
  servesMetrics: true,
  log: pino({}, pino.destination(2)),
});
const server = createAdaptorServer({ fetch: app.fetch });
process.stdout.write(`${await listen(server, { host: "127.0.0.1", port: 0 })}\n`);
process.once("SIGTERM", () => process.exit(0)); // an orderly exit writes the profile of --cpu-prof

function compiled(path: string): string {
  return new URL(`../../dist/${path}`, import.meta.url).href;
}
