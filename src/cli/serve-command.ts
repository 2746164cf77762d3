// The `serve` command: its options, and what they mean to the server.

import { Command, Option } from "commander";
import { defaultResponseStore } from "../api/app-options.ts";
import { UserError } from "../core/errors.ts";
import type { ActivationFormat, ExpertChoice, WeightFormat } from "../core/manifest.ts";
import { activationsOption, expertsOption, weightsOption } from "./conversion-options.ts";
import { defaultMemoryWishes, kvCacheTypes, type KvCacheType } from "./memory-wishes.ts";
import {
  apiKey,
  type DeviceChoice,
  deviceChoices,
  fraction,
  listenAddress,
  modelName,
  notEmpty,
  webOrigin,
  wholeNumber,
} from "./options.ts";
import type { ServeOptions } from "./serve.ts";

const serveExamples = `
Examples:
  # The bundled nano model
  ernie-vl serve

  # A checkpoint downloaded with \`ernie-vl pull\`
  ernie-vl serve --model ./ERNIE-4.5-VL-28B-A3B-PT

  # With little memory
  ernie-vl serve --max-num-seqs 4 --max-model-len 8192 --kv-cache-dtype int8

  # Reachable from other machines, with a key
  ERNIE_VL_API_KEY=… ernie-vl serve --host 0.0.0.0

  # One model under two names
  ernie-vl serve --served-model-name ernie gpt-4o

Lengths are in tokens, times in seconds. All options and environment variables:
docs/configuration.md. Performance: docs/tuning.md`;

/** `defaultModel` is served without --model. */
export function serveCommand(defaultModel: string, say: (line: string) => void): Command {
  const command = new Command("serve").description("Serve a model over OpenAI- and Anthropic-compatible APIs, with a web page.");
  addModelOptions(command, defaultModel);
  addServerOptions(command);
  addMediaOptions(command);
  addMemoryOptions(command);
  addTimeOptions(command);
  return command
    .addHelpText("after", serveExamples)
    .allowExcessArguments()
    .action(async (flags: ServeFlags) => {
      const [extra] = command.args; // unknown commands end up here too, as serve is the default
      if (extra !== undefined) throw new UserError(`unexpected argument ${extra}; ${whatThereIs(command)}`);
      const [{ createLogger }, { serve }] = await Promise.all([import("./create-logger.ts"), import("./serve.ts")]);
      await serve(toServeOptions(flags), createLogger(), say);
    });
}

/** For users who misspell a command or pass the model as an argument. */
function whatThereIs({ parent }: Command): string {
  const names = parent?.commands.map((sibling) => sibling.name()) ?? [];
  return `the commands are ${names.join(", ")} (to serve a model, use --model DIR; see --help)`;
}

function addModelOptions(command: Command, defaultModel: string): void {
  command
    .optionsGroup("Model and device:")
    .addOption(
      new Option(
        "--model <dir>",
        "model to serve: a converted model, or a Hugging Face checkpoint, which is converted on the first start and cached",
      )
        .argParser(notEmpty)
        .default(defaultModel, "the nano model"),
    )
    .addOption(weightsOption())
    .addOption(activationsOption("bf16 on a GPU, else fp32"))
    .addOption(expertsOption())
    .addOption(
      new Option("--device <device>", "device to run on; auto uses a GPU if there is a usable one").choices(deviceChoices).default("auto"),
    )
    .addOption(new Option("--cuda-graphs <switch>", "on a GPU, run decode steps as CUDA graphs").choices(["on", "off"]).default("on"))
    .option("--threads <n>", "CPU threads for the model; 0 = one per available core", wholeNumber(0, 1024), 0);
}

function addServerOptions(command: Command): void {
  command
    .optionsGroup("API and access:")
    .option("--host <address>", "address to listen on", listenAddress, "127.0.0.1")
    .option("--port <n>", "port to listen on; 0 = any free port", wholeNumber(0, 65535), 8000)
    .option("--metrics-port <n>", "serve /metrics on this port, without a key, instead of on the API's port", wholeNumber(0, 65535))
    .option("--metrics-host <address>", "address to listen on for --metrics-port", listenAddress, "127.0.0.1")
    .addOption(
      new Option("--api-key <key...>", "API keys; clients must send one of them, as a bearer token or in x-api-key")
        .env("ERNIE_VL_API_KEY")
        .argParser(apiKey),
    )
    .addOption(
      new Option(
        "--api-key-file <file>",
        "file of API keys, a line NAME KEY for each; read again when it changes, so keys can be replaced without a restart",
      )
        .env("ERNIE_VL_API_KEY_FILE")
        .argParser(notEmpty),
    )
    .addOption(
      new Option("--allow-origin <origin...>", "origins of other web pages that may call the API; * = any (requires a key)")
        .argParser(webOrigin)
        .default([], "none"),
    )
    .option("--insecure-no-auth", "allow listening on a non-local address without a key", false)
    .option(
      "--served-model-name <name...>",
      "model names that clients may use; answers and metrics show the first one (default: the checkpoint's name)",
      modelName,
    )
    .option(
      "--expose-routing",
      "let clients ask which experts each token was routed to (return_routing, and the routing view of the web page); CPU only",
      false,
    )
    .option("--no-web", "serve only the API, without the web page at /")
    .addOption(
      new Option(
        "--default-thinking <switch>",
        "whether requests that do not say so think (default: as the checkpoint's chat template has it)",
      ).choices(["on", "off"]),
    )
    .option(
      "--response-store <n>",
      "how many responses of /v1/responses to keep in memory, with their prompts, for previous_response_id; 0 = none",
      wholeNumber(0, 1 << 20),
      defaultResponseStore,
    );
}

function addMediaOptions(command: Command): void {
  command
    .optionsGroup("Images and videos by URL:")
    .addOption(
      new Option(
        "--allow-media-domain <host...>",
        "hosts from which images and videos may be downloaded: example.org, *.example.org or * (public addresses, ports 80 and 443 only); HOST:PORT or an IP address also allows that service in a private network",
      ).default([], "none"),
    )
    .addOption(
      new Option("--allow-media-path <dir...>", "local folders whose files requests may refer to, as file:///path")
        .argParser((folder, before: string[]) => [...before, notEmpty(folder)])
        .default([], "none"),
    );
}

function addMemoryOptions(command: Command): void {
  const { kvCacheType, gpuMemoryUtilization } = defaultMemoryWishes;
  command
    .optionsGroup("Memory and scheduling:")
    .option(
      "--max-model-len <n>",
      "context length: maximum tokens of prompt and answer together (default: what the model and memory allow)",
      wholeNumber(16, 1 << 24),
    )
    .option(
      "--max-num-seqs <n>",
      "maximum sequences to run at the same time; others wait (default: 16, on a GPU 32, fewer where memory is short)",
      wholeNumber(1, 4096),
    )
    .addOption(
      new Option(
        "--kv-cache-dtype <type>",
        "type of the KV cache; auto = that of the activations, int8 needs half or a quarter of the memory",
      )
        .choices(kvCacheTypes)
        .default(kvCacheType),
    )
    .option(
      "--gpu-memory-utilization <share>",
      "fraction of the GPU's memory that may be in use, including by other programs",
      fraction,
      gpuMemoryUtilization,
    )
    .option(
      "--prefill-chunk <n>",
      "maximum prompt tokens per step; smaller values keep running streams smoother, larger ones read long prompts faster " +
        "(default: 512, on a GPU with memory for it 2048)",
      wholeNumber(1, 1 << 16),
    )
    .option("--max-waiting <n>", "maximum answers waiting for a slot; further requests get a 429", wholeNumber(0, 1 << 20), 256);
}

const maxSeconds = 7 * 24 * 3600;

function addTimeOptions(command: Command): void {
  command
    .optionsGroup("Time limits, in seconds:")
    .option("--request-timeout <s>", "time limit for a request, including waiting; 0 = none", wholeNumber(0, maxSeconds), 3600)
    .option(
      "--step-timeout <s>",
      "if one step of the model takes longer, the server reports not ready; after five times as long, it exits; 0 = never",
      wholeNumber(0, maxSeconds),
      120,
    )
    .option("--shutdown-timeout <s>", "time that running answers get to finish after a stop signal", wholeNumber(0, maxSeconds), 30);
}

type ServeFlags = {
  model: string;
  weights?: WeightFormat;
  activations?: ActivationFormat;
  experts: ExpertChoice;
  device: DeviceChoice;
  kvCacheDtype: KvCacheType;
  gpuMemoryUtilization: number;
  cudaGraphs: "on" | "off";
  threads: number;
  host: string;
  port: number;
  metricsPort?: number;
  metricsHost: string;
  apiKey?: readonly string[];
  apiKeyFile?: string;
  allowOrigin: readonly string[];
  insecureNoAuth: boolean;
  servedModelName?: readonly string[];
  maxModelLen?: number;
  maxNumSeqs?: number;
  prefillChunk: number | undefined;
  maxWaiting: number;
  requestTimeout: number;
  stepTimeout: number;
  shutdownTimeout: number;
  defaultThinking?: "on" | "off";
  exposeRouting: boolean;
  web: boolean;
  allowMediaDomain: string[];
  allowMediaPath: string[];
  responseStore: number;
};

function toServeOptions(flags: ServeFlags): ServeOptions {
  return {
    model: flags.model,
    weights: flags.weights,
    activations: flags.activations,
    experts: flags.experts,
    kvCacheType: flags.kvCacheDtype,
    gpuMemoryUtilization: flags.gpuMemoryUtilization,
    device: flags.device,
    cudaGraphs: flags.cudaGraphs === "on",
    threads: flags.threads,
    host: flags.host,
    port: flags.port,
    metricsPort: flags.metricsPort,
    metricsHost: flags.metricsHost,
    apiKeys: flags.apiKey ?? [],
    apiKeyFile: flags.apiKeyFile,
    allowedOrigins: flags.allowOrigin,
    allowNoKey: flags.insecureNoAuth,
    servedModelNames: flags.servedModelName ?? [],
    maxModelLength: flags.maxModelLen,
    maxSequences: flags.maxNumSeqs,
    prefillChunkTokens: flags.prefillChunk,
    maxWaiting: flags.maxWaiting,
    requestTimeoutMs: flags.requestTimeout * 1000,
    stepTimeoutMs: flags.stepTimeout * 1000,
    shutdownTimeoutMs: flags.shutdownTimeout * 1000,
    defaultThinking: flags.defaultThinking && flags.defaultThinking === "on",
    exposeRouting: flags.exposeRouting,
    web: flags.web,
    responseStore: flags.responseStore,
    mediaDomains: flags.allowMediaDomain,
    mediaFolders: flags.allowMediaPath,
  };
}
