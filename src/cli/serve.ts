// `ernie-vl serve`: model → engine thread → HTTP, and an orderly end.

import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Worker } from "node:worker_threads";
import { fileURLToPath } from "node:url";
import { isIPv4 } from "node:net";
import type { Logger } from "pino";
import { createApp } from "../api/app.ts";
import type { GenerationDefaults } from "../api/app-options.ts";
import { toGenerationDefaults } from "../api/generation-defaults.ts";
import { createChatService } from "../chat/complete.ts";
import { UserError } from "../core/errors.ts";
import { EngineClient } from "../engine/engine-client.ts";
import { GrammarClient } from "../grammar/grammar-client.ts";
import { createMediaReader } from "../media/media-reader.ts";
import type { KvBudget } from "../model/kv-budget.ts";
import type { KvScales } from "../model/kv-cache.ts";
import { createImageLoader } from "../vision/image-loader.ts";
import type { WorkerData } from "../worker-data.ts";
import { startTracing } from "./tracing.ts";
import { programVersion } from "../version.ts";
import { describeDevice, type ComputeDevice } from "./choose-device.ts";
import { ConvertProgress, type ProgressUnit } from "./convert-progress.ts";
import { createHttpServer } from "./http-server.ts";
import { prepareKvScales } from "./kv-scales.ts";
import { describeMemory, imageCacheBytes, planMemory, type MemoryPlan } from "./memory-plan.ts";
import { dataBytes } from "./memory-report.ts";
import { planStart, type StartWishes } from "./plan-start.ts";
import { listen, probeAddresses } from "./listen.ts";
import { metricsAddress, startMetricsServer, watchEngine } from "./metrics-server.ts";
import { prepareModel, type PreparedModel } from "./prepare-model.ts";
import { endInOrder, lastWordsMs } from "./shutdown.ts";
import { watchSteps } from "./step-watch.ts";

export type ServeOptions = StartWishes & {
  readonly model: string;
  readonly cudaGraphs: boolean;
  readonly threads: number;
  readonly host: string;
  readonly port: number;
  /** Undefined: the metrics are a route of the API. */
  readonly metricsPort: number | undefined;
  readonly metricsHost: string;
  readonly apiKeys: readonly string[];
  readonly allowNoKey: boolean;
  readonly servedModelName: string | undefined;
  readonly maxWaiting: number;
  readonly defaultThinking: boolean;
  /** Milliseconds; 0: any time. */
  readonly requestTimeoutMs: number;
  /** Of one step, in milliseconds; 0: any time. */
  readonly stepTimeoutMs: number;
  /** In milliseconds: how long answers may go on after a stop signal. */
  readonly shutdownTimeoutMs: number;
  /** Whether to show the web page at `/`. */
  readonly web: boolean;
  /** Responses kept in memory. */
  readonly responseStore: number;
  /** Hosts and folders that requests may name pictures of. */
  readonly mediaDomains: readonly string[];
  readonly mediaFolders: readonly string[];
};

/** Beside the compiled program. */
const webFolder = fileURLToPath(new URL("../web", import.meta.url));

export async function serve(options: ServeOptions, log: Logger, say: (line: string) => void): Promise<void> {
  refuseOpenBind(options);
  const media = createMediaReader({ domains: options.mediaDomains, folders: options.mediaFolders });
  say(`ernie-vl ${programVersion()}`);
  await probeAddresses([options, metricsAddress(options)]);
  const { folder, manifest, memory, engine } = await load(options, say);
  const modelId = options.servedModelName ?? manifest.source.name;
  const contextLength = memory.kv.capacity;

  const images = createImageLoader(manifest.config.image);
  let grammar: GrammarClient | undefined;
  let isStopping = false;
  const service = createChatService({
    modelFolder: folder,
    config: manifest.config,
    engine,
    loadImage: images.load,
    contextLength,
    requestTimeoutMs: options.requestTimeoutMs || undefined,
    vocabSize: manifest.config.text.vocabSize,
    startGrammar: (vocabulary) => (grammar = new GrammarClient(vocabulary)),
  });
  const tracing = await startTracing(modelId, log);
  const metrics = watchEngine(engine, modelId, memory.kv.slotCount);
  const watch = watchSteps(engine, options.stepTimeoutMs, log, (reason) => endAtOnce(engine, reason));
  const app = createApp(service, {
    modelId,
    created: Math.floor(Date.now() / 1000),
    contextLength,
    defaultThinking: options.defaultThinking,
    responseStore: options.responseStore,
    generationDefaults: readGenerationDefaults(folder),
    apiKeys: options.apiKeys,
    media,
    isReady: () => !isStopping && engine.isAlive && !watch.isStalled(),
    stats: () => engine.stats(),
    log,
    metrics,
    servesMetrics: options.metricsPort === undefined,
    webFolder: options.web ? webFolder : undefined,
    trace: tracing?.record,
  });
  const server = createHttpServer(app.fetch);
  const metricsServer = await startMetricsServer(metrics, options, say);
  endInOrder(server, engine, {
    timeoutMs: options.shutdownTimeoutMs,
    log,
    say,
    onStopping: () => (isStopping = true),
    afterwards: async () => {
      await metricsServer?.close();
      await grammar?.close();
      await images.close();
      await tracing?.close();
    },
  });
  sayHowToUse(await listen(server, options), modelId, options, say);
}

function endAtOnce(engine: EngineClient, reason: string): void {
  engine.abandon(reason);
  setTimeout(() => process.kill(process.pid, "SIGKILL"), lastWordsMs); // exit() would wait for the thread
}

/** From the folder that the operator names to an engine that answers. */
async function load(options: ServeOptions, say: (line: string) => void) {
  const { device, settings } = planStart(resolve(options.model), options, say); // before hours go into converting
  const model = await prepareModel(options.model, settings, say);
  const memory = planMemory({ ...model.manifest, weightBytes: dataBytes(model.manifest) }, device, options);
  sayModel(model, device, memory, say);
  say(`media    ${describeMedia(options)}`);
  const kvScales = options.kvCacheType === "int8" ? await prepareKvScales(model, device.kind, options.threads, say) : undefined;
  const started = Date.now();
  const engine = await startEngine(model, { ...memory.kv, kvScales }, device, options, say);
  say(`loaded   in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  return { ...model, memory, engine };
}

/** Anyone who reaches an open address without a key could use the machine. */
function refuseOpenBind({ host, apiKeys, allowNoKey }: ServeOptions): void {
  const isLocal = host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
  if (isLocal || apiKeys.length > 0 || allowNoKey) return;
  throw new UserError(
    `--host ${host} is reachable from other machines; give --api-key KEY (or --insecure-no-auth if the network is yours)`,
  );
}

/** Sampling that the checkpoint recommends; a checkpoint need not. */
function readGenerationDefaults(folder: string): GenerationDefaults {
  const path = join(folder, "generation_config.json");
  return existsSync(path) ? toGenerationDefaults(JSON.parse(readFileSync(path, "utf8")) as object) : {};
}

async function startEngine(
  model: PreparedModel,
  kv: KvBudget & { readonly kvScales: KvScales | undefined },
  device: ComputeDevice,
  options: ServeOptions,
  say: (line: string) => void,
): Promise<EngineClient> {
  const workerData: WorkerData = {
    modelFolder: model.folder,
    device: device.kind,
    threadCount: options.threads,
    cudaGraphs: options.cudaGraphs,
    slotCount: kv.slotCount,
    slotCapacity: kv.capacity,
    kvScales: kv.kvScales,
    prefillChunkTokens: options.prefillChunkTokens,
    maxWaiting: options.maxWaiting,
    imageCacheBytes,
  };
  const worker = new Worker(new URL("../engine-worker.js", import.meta.url), { workerData, name: "engine" });
  const progress = new ConvertProgress(say, warmUp);
  try {
    return await EngineClient.start(worker, progress.update);
  } finally {
    progress.stop();
  }
}

/** A GPU computes each kind of step once before the first request. */
const warmUp: ProgressUnit = {
  amount: (done, total) => `warming up: ${done} of ${total} kinds of steps`,
  rate: (perSecond) => `${perSecond.toFixed(1)}/s`,
  ending: "ready",
};

function sayModel({ folder, manifest }: PreparedModel, device: ComputeDevice, memory: MemoryPlan, say: (line: string) => void): void {
  const { settings, source } = manifest;
  say(`model    ${source.name}, ${settings.weights} weights, ${settings.activations} activations`);
  say(`         ${folder}`);
  say(
    settings.experts === "modality-moe"
      ? "experts  the ModalityMoe kernel"
      : "experts  ONNX Runtime's operator; npm run kernels:build makes a much faster one, taken at the next start",
  );
  say(`device   ${describeDevice(device)}`);
  for (const [name, text] of Object.entries(describeMemory(memory, manifest))) say(`${name.padEnd(9)}${text}`);
}

/** Where pictures may come from. */
function describeMedia({ mediaDomains, mediaFolders }: ServeOptions): string {
  const sources = ["data URIs"];
  if (mediaDomains.length > 0) sources.push(`downloads from ${mediaDomains.join(", ")}`);
  if (mediaFolders.length > 0) sources.push(`files below ${mediaFolders.join(", ")}`);
  return sources.length > 1 ? sources.join("; ") : "data URIs only; see --allow-media-domain, --allow-media-path";
}

function sayHowToUse(url: string, modelId: string, options: ServeOptions, say: (line: string) => void): void {
  const key = options.apiKeys.length > 0 ? " -H 'authorization: Bearer KEY'" : "";
  const body = JSON.stringify({ model: modelId, messages: [{ role: "user", content: "What is the capital of France?" }] });
  say("");
  say(`Listening on ${url}  (OpenAI base URL: ${url}/v1)`);
  say("");
  if (options.web) say(`  Open ${toBrowserAddress(url)} in a browser, or ask from here:\n`);
  say(`  curl ${url}/v1/chat/completions${key} -H 'content-type: application/json' -d '${body}'`);
  say("");
}

/** Listening on all addresses is no address to open. */
function toBrowserAddress(url: string): string {
  return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
}
