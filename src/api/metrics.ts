// The server's Prometheus metrics. Label values come from the server's own lists, never from a client.

import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { StepReport } from "../core/batch.ts";
import type { AnswerEnd } from "../core/events.ts";
import { withVllmNames } from "./metric-aliases.ts";

const prefix = "ernie_vl_";
const stepKinds = { prefill: "prefill", decode: "decode", encode: "picture" } as const satisfies Record<StepReport["kind"], string>;
/** `abort`: the client left, or cancelled the response. `error`: the answer failed. */
export type FinishedReason = AnswerEnd | "abort" | "error";
const finishedReasons: readonly FinishedReason[] = ["stop", "length", "tool_calls", "abort", "error"];

// vLLM's bounds, in seconds, with finer ones below them for small models and quiet servers.
const firstTokenBounds = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560];
const interTokenBounds = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
];
const requestBounds = [
  0.001, 0.005, 0.01, 0.05, 0.1, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
];
const stepBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export type MetricsSource = {
  readonly modelId: string;
  /** Sequences that can run at the same time. */
  readonly slotCount: number;
  /** The current values. */
  readonly stats: () => {
    readonly running: number;
    readonly waiting: number;
    readonly slotsUsed: number;
    readonly kvCacheUsage: number;
    readonly preemptions: number;
  };
};

export class ServerMetrics {
  readonly registry = new Registry();
  /** Separate, because these metrics have no model name. */
  readonly processRegistry = new Registry();
  readonly #firstToken = this.#histogram(
    "time_to_first_token_seconds",
    "Time from a request's arrival to its first token.",
    firstTokenBounds,
  );
  readonly #interToken = this.#histogram(
    "inter_token_latency_seconds",
    "Time between two tokens of an answer, as they leave the engine.",
    interTokenBounds,
  );
  readonly #latency = this.#histogram(
    "e2e_request_latency_seconds",
    "Time from a request's arrival to the end of its answer, for complete answers only.",
    requestBounds,
  );
  readonly #queueTime = this.#histogram(
    "request_queue_time_seconds",
    "Time that an answer waited for a slot, without the loading of pictures.",
    requestBounds,
  );
  readonly #promptTokens = this.#counter("prompt_tokens_total", "Prompt tokens, including those of pictures and those found in the cache.");
  readonly #imageTokens = this.#counter("image_tokens_total", "Prompt tokens taken up by pictures.");
  readonly #cacheQueries = this.#counter(
    "prefix_cache_queries_total",
    "Prompt tokens looked up in the prefix cache, which is all of them.",
  );
  readonly #cacheHits = this.#counter("prefix_cache_hits_total", "Prompt tokens found in the prefix cache.");
  readonly #generatedTokens = this.#counter(
    "generation_tokens_total",
    "Generated tokens, including those of answers that no client read to the end.",
  );
  readonly #finished = this.#counter("request_success_total", "Answers that ended, by reason: stop, length, tool_calls, abort, error.", [
    "finished_reason",
  ]);
  readonly #stepTime = this.#histogram(
    "step_duration_seconds",
    "Duration of one engine step, by kind: prefill, decode or picture.",
    stepBounds,
    ["kind"],
  );
  readonly #stepTokens = this.#counter("step_tokens_total", "Tokens computed in engine steps, by kind: prefill, decode or picture.", [
    "kind",
  ]);
  readonly #httpRequests = this.#counter("http_requests_total", "HTTP requests by route and status. 499: the client left.", [
    "route",
    "status",
  ]);
  readonly #requestsByKey = this.#counter("requests_by_key_total", "HTTP requests with a valid API key, by the key's name.", ["key"]);
  readonly #promptTokensByKey = this.#counter(
    "prompt_tokens_by_key_total",
    "Prompt tokens of requests that are over, by the name of their API key.",
    ["key"],
  );
  readonly #generatedTokensByKey = this.#counter(
    "generation_tokens_by_key_total",
    "Generated tokens of requests that are over, by the name of their API key.",
    ["key"],
  );
  readonly #errors = this.#counter("errors_total", "Failed requests, by the error code that the client received.", ["code"]);
  /** Bound to their labels once, because they are updated in every step. */
  readonly #steps;

  constructor({ modelId, slotCount, stats }: MetricsSource) {
    this.registry.setDefaultLabels({ model_name: modelId });
    this.#gauge("num_requests_running", "Answers that are running.", () => stats().running);
    this.#gauge("num_requests_waiting", "Answers that are waiting for a slot or for memory.", () => stats().waiting);
    this.#gauge("slots_used", "KV cache slots in use.", () => stats().slotsUsed);
    this.#gauge("slots", "KV cache slots that can be in use at the same time.", () => slotCount);
    this.#gauge(
      "kv_cache_usage_perc",
      "Fraction of the KV cache's memory that running answers use, from 0 to 1.",
      () => stats().kvCacheUsage,
    );
    const help = "Preemptions: an answer paused because older ones needed its memory, or another API key its slot.";
    this.#counterOf("num_preemptions_total", help, () => stats().preemptions);
    for (const finished_reason of finishedReasons) this.#finished.inc({ finished_reason }, 0);
    for (const kind of Object.values(stepKinds)) this.#stepTime.zero({ kind });
    const bind = (kind: string) => ({ time: this.#stepTime.labels({ kind }), tokens: this.#stepTokens.labels({ kind }) });
    this.#steps = { prefill: bind(stepKinds.prefill), decode: bind(stepKinds.decode), encode: bind(stepKinds.encode) };
  }

  /** Adds the process's memory, CPU, event loop and garbage collection. */
  watchProcess(): void {
    collectDefaultMetrics({ register: this.processRegistry, prefix });
  }

  step({ kind, tokenCount, durationMs }: StepReport): void {
    const { time, tokens } = this.#steps[kind];
    time.observe(durationMs / 1000);
    tokens.inc(tokenCount);
  }

  promptRead(prompt: { readonly promptTokens: number; readonly imageTokens: number; readonly cachedTokens: number }): void {
    this.#promptTokens.inc(prompt.promptTokens);
    this.#imageTokens.inc(prompt.imageTokens);
    this.#cacheQueries.inc(prompt.promptTokens);
    this.#cacheHits.inc(prompt.cachedTokens);
  }

  queued(ms: number): void {
    this.#queueTime.observe(ms / 1000);
  }

  /** `ms`: from the request's arrival to its first token. */
  firstToken(ms: number): void {
    this.#firstToken.observe(ms / 1000);
  }

  /** `sinceLastMs`: undefined for an answer's first token. */
  token(sinceLastMs: number | undefined): void {
    this.#generatedTokens.inc();
    if (sinceLastMs !== undefined) this.#interToken.observe(sinceLastMs / 1000);
  }

  finished(finished_reason: FinishedReason): void {
    this.#finished.inc({ finished_reason });
  }

  answered(totalMs: number): void {
    this.#latency.observe(totalMs / 1000);
  }

  /** `route`: the pattern of the route. */
  request(route: string, status: number): void {
    this.#httpRequests.inc({ route, status });
  }

  /** A request is over. `key`: the name of its key, never the key. */
  requestByKey(key: string, promptTokens: number, generatedTokens: number): void {
    this.#requestsByKey.inc({ key });
    this.#promptTokensByKey.inc({ key }, promptTokens);
    this.#generatedTokensByKey.inc({ key }, generatedTokens);
  }

  error(code: string): void {
    this.#errors.inc({ code });
  }

  /** All metrics in Prometheus's text format. Those that vLLM has too appear under its names as well. */
  async expose(): Promise<string> {
    return `${withVllmNames(await this.registry.metrics())}\n${await this.processRegistry.metrics()}`;
  }

  #histogram(name: string, help: string, buckets: number[], labelNames: string[] = []): Histogram {
    return new Histogram({ name: prefix + name, help, buckets, labelNames, registers: [this.registry] });
  }

  #counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ name: prefix + name, help, labelNames, registers: [this.registry] });
  }

  #gauge(name: string, help: string, read: () => number): void {
    const collect = (): void => gauge.set(read());
    const gauge: Gauge = new Gauge({ name: prefix + name, help, registers: [this.registry], collect });
  }

  /** A counter whose value is kept elsewhere. */
  #counterOf(name: string, help: string, read: () => number): void {
    const collect = (): void => {
      counter.reset();
      counter.inc(read());
    };
    const counter: Counter = new Counter({ name: prefix + name, help, registers: [this.registry], collect });
  }
}
