import { describe, expect, test } from "vitest";
import { vllmNames, withVllmNames } from "../../src/api/metric-aliases.ts";
import { createMetricsApp } from "../../src/api/metrics-route.ts";
import { ServerMetrics } from "../../src/api/metrics.ts";
import { monotonicMs } from "../../src/core/clock.ts";
import type { ChatEvent } from "../../src/core/events.ts";
import { chatPath, finished, helloEvents, makeApp, post, started, untilAborted, usage, userSays } from "./make-app.ts";
import { parseMetrics } from "./parse-metrics.ts";

async function ask(app: ReturnType<typeof makeApp>["app"], fields: object = {}): Promise<string> {
  return (await app.request(chatPath, post(userSays("Hi", fields)))).text();
}

describe("an answer", () => {
  test.each([false, true])("is counted once, with the tokens that its usage tells, stream: %s", async (stream) => {
    const { app, metrics } = makeApp();

    await ask(app, { stream });
    await ask(app, { stream });

    const value = parseMetrics(await metrics.expose());
    expect(value("ernie_vl_prompt_tokens_total")).toBe(2 * usage.promptTokens);
    expect(value("ernie_vl_image_tokens_total")).toBe(2 * usage.imageTokens);
    expect(value("ernie_vl_prefix_cache_queries_total")).toBe(2 * usage.promptTokens);
    expect(value("ernie_vl_prefix_cache_hits_total")).toBe(2 * usage.cachedTokens);
    expect(value("ernie_vl_generation_tokens_total")).toBe(2 * 2); // the script has two texts
    expect(value("ernie_vl_request_success_total", { finished_reason: "stop" })).toBe(2);
    expect(value("ernie_vl_request_success_total")).toBe(2);
    expect(value("ernie_vl_time_to_first_token_seconds_count")).toBe(2);
    expect(value("ernie_vl_inter_token_latency_seconds_count")).toBe(2);
    expect(value("ernie_vl_request_queue_time_seconds_count")).toBe(2);
    expect(value("ernie_vl_request_queue_time_seconds_sum")).toBeCloseTo(2 * 0.002);
    expect(value("ernie_vl_e2e_request_latency_seconds_count")).toBe(2);
    expect(value("ernie_vl_http_requests_total", { route: chatPath, status: "200" })).toBe(2);
    expect(value("ernie_vl_errors_total")).toBe(0);
  });

  test.each([
    [chatPath, {}],
    ["/v1/messages", { max_tokens: 10 }],
  ])("on %s is counted as one and has its times in the log", async (path, fields) => {
    const { app, metrics, lines } = makeApp();

    await (await app.request(path, post(userSays("Hi", fields)))).text();

    const value = parseMetrics(await metrics.expose());
    expect(value("ernie_vl_request_success_total", { finished_reason: "stop" })).toBe(1);
    expect(value("ernie_vl_time_to_first_token_seconds_count")).toBe(1);
    expect(lines).toMatchObject([{ fields: { queueMs: 2, firstTokenMs: expect.any(Number), outputTokens: usage.completionTokens } }]);
  });

  test("of two runs has the queue time of the first in the log, and one token has no time between tokens", async () => {
    const { app, lines } = makeApp(async function* twoRuns({ onEvent }) {
      onEvent({ type: "started", cachedTokens: 0, sentMs: monotonicMs(), queuedMs: 2 }, 0);
      yield started;
      onEvent({ type: "started", cachedTokens: 0, sentMs: monotonicMs(), queuedMs: 50 }, 0);
      onEvent({ type: "token", tokenId: 7 }, 0);
      yield finished;
    });

    await app.request(chatPath, post(userSays("Hi")));

    expect(lines).toMatchObject([{ fields: { queueMs: 2, firstTokenMs: expect.any(Number) } }]);
    expect(lines[0]!.fields).not.toHaveProperty("interTokenMs");
  });

  test("among several has a reason of its own, and the prompt is one", async () => {
    const { app, metrics } = makeApp([
      started,
      { type: "content", text: "a" },
      { type: "finished", reason: "stop", usage, choice: 0 },
      { type: "finished", reason: "length", usage, choice: 1 },
    ]);

    await ask(app, { n: 2 });

    const value = parseMetrics(await metrics.expose());
    expect(value("ernie_vl_request_success_total", { finished_reason: "stop" })).toBe(1);
    expect(value("ernie_vl_request_success_total", { finished_reason: "length" })).toBe(1);
    expect(value("ernie_vl_prompt_tokens_total")).toBe(usage.promptTokens);
    expect(value("ernie_vl_generation_tokens_total")).toBe(2);
    expect(value("ernie_vl_time_to_first_token_seconds_count")).toBe(1);
    expect(value("ernie_vl_inter_token_latency_seconds_count")).toBe(0);
    expect(value("ernie_vl_e2e_request_latency_seconds_count")).toBe(1);
  });
});

describe("a client that leaves", () => {
  async function* endless({ signal }: { signal: AbortSignal }): AsyncGenerator<ChatEvent> {
    yield started;
    yield { type: "content", text: "Hel" };
    await untilAborted(signal);
  }

  test("in the middle of a stream is counted as one abort", async () => {
    const { app, metrics } = makeApp(endless);
    const response = await app.request(chatPath, post(userSays("Hi", { stream: true })));
    const reader = response.body!.getReader();
    await reader.read();

    await reader.cancel();

    const value = parseMetrics(await metrics.expose());
    expect(value("ernie_vl_request_success_total", { finished_reason: "abort" })).toBe(1);
    expect(value("ernie_vl_request_success_total")).toBe(1);
    expect(value("ernie_vl_http_requests_total", { route: chatPath, status: "499" })).toBe(1);
    expect(value("ernie_vl_http_requests_total")).toBe(1);
    expect(value("ernie_vl_e2e_request_latency_seconds_count")).toBe(0);
  });

  test("before the answer as JSON is counted as one abort, with two answers under way too", async () => {
    const { app, metrics, calls } = makeApp(endless);
    const client = new AbortController();
    const response = app.request(new Request(`http://x${chatPath}`, { ...post(userSays("Hi", { n: 2 })), signal: client.signal }));
    while (calls.length === 0) await new Promise(setImmediate);

    client.abort();
    await response;

    const value = parseMetrics(await metrics.expose());
    expect(value("ernie_vl_request_success_total", { finished_reason: "abort" })).toBe(1);
    expect(value("ernie_vl_request_success_total")).toBe(1);
  });
});

describe("a failure", () => {
  test.each([false, true])("of the server in an answer is one error, stream: %s", async (stream) => {
    const { app, metrics } = makeApp([...helloEvents.slice(0, 2), new Error("boom")]);

    await ask(app, { stream });

    const value = parseMetrics(await metrics.expose());
    expect(value("ernie_vl_request_success_total", { finished_reason: "error" })).toBe(1);
    expect(value("ernie_vl_request_success_total")).toBe(1);
    expect(value("ernie_vl_errors_total", { code: "internal_error" })).toBe(1);
    expect(value("ernie_vl_e2e_request_latency_seconds_count")).toBe(0);
  });

  test("of the client is an error by its code, and no answer", async () => {
    const { app, metrics } = makeApp();

    await ask(app, { temperature: "hot" });
    await app.request("/v1/models/x'\"\n/y");
    await app.request("/nowhere/SECRET");

    const value = parseMetrics(await metrics.expose());
    expect(value("ernie_vl_errors_total", { code: "invalid_value" })).toBe(1);
    expect(value("ernie_vl_errors_total", { code: "model_not_found" })).toBe(1);
    expect(value("ernie_vl_errors_total", { code: "unknown_url" })).toBe(1);
    expect(value("ernie_vl_http_requests_total", { route: chatPath, status: "400" })).toBe(1);
    expect(value("ernie_vl_http_requests_total", { route: "/v1/models/{id}", status: "404" })).toBe(1);
    expect(value("ernie_vl_http_requests_total", { route: "unmatched", status: "404" })).toBe(1);
    expect(value("ernie_vl_request_success_total")).toBe(0);
    expect(await metrics.expose()).not.toContain("SECRET");
  });
});

describe("the engine", () => {
  test("is shown as it is when asked", async () => {
    const { metrics, stats } = makeApp();
    Object.assign(stats, { running: 3, waiting: 2, slotsUsed: 3, kvCacheUsage: 0.75, preemptions: 7 });
    const busy = parseMetrics(await metrics.expose());
    Object.assign(stats, { running: 0, waiting: 0, slotsUsed: 0, kvCacheUsage: 0 });
    const idle = parseMetrics(await metrics.expose());

    expect(busy("ernie_vl_num_requests_running")).toBe(3);
    expect(busy("vllm:num_requests_waiting")).toBe(2);
    expect(busy("vllm:kv_cache_usage_perc")).toBe(0.75);
    expect([busy, idle].map((metric) => metric("vllm:num_preemptions_total"))).toEqual([7, 7]);
    expect(busy("ernie_vl_slots")).toBe(4);
    for (const name of ["num_requests_running", "num_requests_waiting", "slots_used", "kv_cache_usage_perc"]) {
      expect(idle(`ernie_vl_${name}`)).toBe(0);
    }
  });

  test("has its steps counted by kind", async () => {
    const { metrics } = makeApp();
    metrics.step({ kind: "prefill", tokenCount: 512, durationMs: 80 });
    metrics.step({ kind: "decode", tokenCount: 3, durationMs: 7 });
    metrics.step({ kind: "decode", tokenCount: 4, durationMs: 8 });
    metrics.step({ kind: "encode", tokenCount: 64, durationMs: 200 });

    const value = parseMetrics(await metrics.expose());
    expect(value("ernie_vl_step_duration_seconds_count", { kind: "decode" })).toBe(2);
    expect(value("ernie_vl_step_duration_seconds_sum", { kind: "decode" })).toBeCloseTo(0.015);
    expect(value("ernie_vl_step_duration_seconds_bucket", { kind: "decode", le: "0.01" })).toBe(2);
    expect(value("ernie_vl_step_tokens_total", { kind: "decode" })).toBe(7);
    expect(value("ernie_vl_step_tokens_total", { kind: "prefill" })).toBe(512);
    expect(value("ernie_vl_step_tokens_total", { kind: "picture" })).toBe(64);
  });
});

describe("vLLM's names", () => {
  test("have the values of ours, labels and bounds included", async () => {
    const { app, metrics } = makeApp();
    await ask(app);

    const samples = (await metrics.expose()).split("\n").filter((line) => !line.startsWith("#"));

    for (const [name, aliases] of Object.entries(vllmNames)) {
      const own = samples.filter((line) => line.startsWith(name));
      expect(own.length).toBeGreaterThan(0);
      for (const alias of aliases)
        expect(samples.filter((line) => line.startsWith(alias))).toEqual(own.map((line) => line.replace(name, alias)));
    }
  });

  test("leave label values alone that look like a name", () => {
    const name = "ernie_vl_num_requests_running";
    const text = `# HELP ${name} Answers.\n# TYPE ${name} gauge\n${name}{model_name="${name}"} 1\n`;

    expect(withVllmNames(text)).toContain(`vllm:num_requests_running{model_name="${name}"} 1`);
  });
});

describe("GET /metrics", () => {
  test("is Prometheus's text format, names of odd models escaped", async () => {
    const metrics = new ServerMetrics({
      modelId: 'a "b" \\ c\nd',
      slotCount: 1,
      stats: () => ({ running: 0, waiting: 0, slotsUsed: 0, kvCacheUsage: 0, preemptions: 0 }),
    });
    const { app } = makeApp(helloEvents, { metrics });
    await ask(app);

    const response = await app.request("/metrics");

    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    const value = parseMetrics(await response.text());
    expect(value("vllm:prompt_tokens_total", { model_name: 'a "b" \\ c\nd' })).toBe(usage.promptTokens);
  });

  test("wants the key as every route does", async () => {
    const { app } = makeApp(helloEvents, { apiKeys: ["key"] });

    expect((await app.request("/metrics")).status).toBe(401);
    expect((await app.request("/metrics", { headers: { authorization: "Bearer key" } })).status).toBe(200);
  });

  test("is on its own port or with the API, not both", async () => {
    const { app, metrics } = makeApp(helloEvents, { apiKeys: ["key"], servesMetrics: false });
    const own = createMetricsApp(metrics);

    expect((await app.request("/metrics", { headers: { authorization: "Bearer key" } })).status).toBe(404);
    expect((await own.request("/metrics")).status).toBe(200);
    expect((await own.request("/v1/models")).status).toBe(404);
  });

  test("tells of the process too where it is watched", async () => {
    const { app, metrics } = makeApp([started, finished]);
    metrics.watchProcess();

    const value = parseMetrics(await (await app.request("/metrics")).text());

    expect(value("ernie_vl_process_resident_memory_bytes")).toBeGreaterThan(0);
    expect(value("ernie_vl_nodejs_eventloop_lag_p99_seconds")).toBeGreaterThanOrEqual(0);
  });
});
