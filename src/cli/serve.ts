// `ernie-vl serve`: model → engine thread → HTTP, and a graceful shutdown.

import { setMaxListeners } from "node:events";
import { fileURLToPath } from "node:url";
import { isIPv4 } from "node:net";
import type { Logger } from "pino";
import type { ApiKeys } from "../api/api-keys.ts";
import { createApp } from "../api/app.ts";
import { createChatService } from "../chat/complete.ts";
import { loadTemplate } from "../chat/template.ts";
import { UserError } from "../core/errors.ts";
import { EngineClient } from "../engine/engine-client.ts";
import { GrammarClient } from "../grammar/grammar-client.ts";
import { createMediaReader } from "../media/media-reader.ts";
import { startTracing } from "./tracing.ts";
import { exitNow } from "../runtime/exit-now.ts";
import { programVersion } from "../version.ts";
import { limitedAddresses } from "./address-limit.ts";
import { openApiKeys } from "./api-key-file.ts";
import { createHttpServer } from "./http-server.ts";
import { readGenerationDefaults } from "./generation-config.ts";
import type { MemoryPlan } from "./memory-plan.ts";
import type { StartWishes } from "./plan-start.ts";
import { listen, probeAddresses } from "./listen.ts";
import { metricsAddress, startMetricsServer, watchEngine } from "./metrics-server.ts";
import type { PreparedModel } from "./prepare-model.ts";
import { readWeights } from "./read-weights.ts";
import { endInOrder, lastWordsMs } from "./shutdown.ts";
import { watchSteps } from "./step-watch.ts";
import { loadEngine } from "./load-engine.ts";
import { sayHowToUse } from "./start-lines.ts";
import type { VisionLoaders } from "./vision-loaders.ts";

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
  /** A file of more of them. */
  readonly apiKeyFile: string | undefined;
  /** Origins of other web pages that may use the server. */
  readonly allowedOrigins: readonly string[];
  readonly allowNoKey: boolean;
  /** Empty: the checkpoint's name. */
  readonly servedModelNames: readonly string[];
  readonly maxWaiting: number;
  /** Undefined: as the checkpoint's chat template does. */
  readonly defaultThinking: boolean | undefined;
  /** Milliseconds; 0: any time. */
  readonly requestTimeoutMs: number;
  /** Of one step, in milliseconds; 0: any time. */
  readonly stepTimeoutMs: number;
  /** How long answers may continue after a stop signal, in milliseconds. */
  readonly shutdownTimeoutMs: number;
  /** Whether requests may ask which experts their tokens went to. */
  readonly exposeRouting: boolean;
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
  const hasKeys = options.apiKeys.length > 0 || options.apiKeyFile !== undefined;
  refuseOpenBind(options, hasKeys);
  refuseOpenOrigins(options, hasKeys);
  const media = createMediaReader({ domains: options.mediaDomains, folders: options.mediaFolders });
  say(`ernie-vl ${programVersion()}`);
  const apiKeys = openApiKeys(options, log, say);
  const advice = limitedAddresses();
  if (advice !== undefined) say(advice);
  await probeAddresses([options, metricsAddress(options)]);
  const { model, device, memory, vision, engine, hardware } = await loadEngine(options, say);
  const [modelId = model.manifest.source.name, ...modelAliases] = options.servedModelNames;
  const chat = startChat({ ...model, memory, vision, engine }, options);
  const tracing = await startTracing(modelId, log);
  const metrics = watchEngine(engine, modelId, memory.kv.slotCount);
  const watch = watchSteps(engine, options.stepTimeoutMs, log, (reason) => endAtOnce(engine, reason));
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal); // every running request listens
  const app = createApp(chat.service, {
    ...toAppSettings(options, model, apiKeys),
    modelId,
    modelAliases,
    contextLength: memory.kv.capacity,
    takesVideoFiles: vision.takesVideoFiles,
    media,
    hardware,
    stopping: stopping.signal,
    isReady: () => !stopping.signal.aborted && engine.isAlive && !watch.isStalled(),
    stats: () => engine.stats(),
    log,
    metrics,
    trace: tracing?.record,
  });
  const server = createHttpServer(app.fetch);
  const metricsServer = await startMetricsServer(metrics, options, say);
  endInOrder(server, engine, {
    timeoutMs: options.shutdownTimeoutMs,
    log,
    say,
    onStopping: () => stopping.abort(),
    afterwards: async () => {
      await metricsServer?.close();
      await chat.close();
      await tracing?.close();
    },
  });
  sayHowToUse(await listen(server, options), { modelId, hasKeys, web: options.web }, say);
  if (device.kind === "cpu") await readWeights(model, stopping.signal, log);
}

function endAtOnce(engine: EngineClient, reason: string): void {
  engine.abandon(reason);
  setTimeout(() => exitNow(1), lastWordsMs);
}

type LoadedModel = PreparedModel & { readonly memory: MemoryPlan; readonly vision: VisionLoaders; readonly engine: EngineClient };

/** Starts what lies between HTTP and the engine, with its threads. */
function startChat({ folder, manifest, memory, vision, engine }: LoadedModel, { requestTimeoutMs }: ServeOptions) {
  let grammar: GrammarClient | undefined;
  const service = createChatService({
    modelFolder: folder,
    config: manifest.config,
    engine,
    loadImage: vision.loadImage,
    loadVideo: vision.loadVideo,
    readPdf: vision.readPdf,
    contextLength: memory.kv.capacity,
    requestTimeoutMs: requestTimeoutMs || undefined,
    vocabSize: manifest.config.text.vocabSize,
    startGrammar: (vocabulary) => (grammar = new GrammarClient(vocabulary)),
  });
  const close = async (): Promise<void> => {
    await grammar?.close();
    await vision.close();
  };
  return { service, close };
}

function toAppSettings(options: ServeOptions, model: PreparedModel, apiKeys: ApiKeys) {
  return {
    created: Math.floor(Date.now() / 1000),
    defaultThinking: options.defaultThinking ?? loadTemplate(model.folder).thinksByDefault,
    responseStore: options.responseStore,
    exposesRouting: options.exposeRouting,
    generationDefaults: readGenerationDefaults(model.folder),
    apiKeys,
    allowedOrigins: options.allowedOrigins,
    localNamesOnly: apiKeys.isEmpty && !options.allowNoKey,
    servesMetrics: options.metricsPort === undefined,
    webFolder: options.web ? webFolder : undefined,
  };
}

/** Without a key, anyone who can reach the address could use the server. */
function refuseOpenBind({ host, allowNoKey }: ServeOptions, hasKeys: boolean): void {
  const isLocal = host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
  if (isLocal || hasKeys || allowNoKey) return;
  throw new UserError(
    `--host ${host} is reachable from other machines; set a key with --api-key KEY (or use --insecure-no-auth on a network you trust)`,
  );
}

/** Without a key, any page opened on this machine could use the server. */
function refuseOpenOrigins({ allowedOrigins }: ServeOptions, hasKeys: boolean): void {
  if (hasKeys || !allowedOrigins.includes("*")) return;
  throw new UserError("--allow-origin * lets every web page use this server; set a key with --api-key KEY, or list the allowed origins");
}
