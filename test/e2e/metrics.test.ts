// What the whole program counts, against what its answers say.

import type OpenAI from "openai";
import { expect, test } from "vitest";
import { parseMetrics } from "../api/parse-metrics.ts";
import { startBroken } from "./start-broken.ts";
import { type RunningServer, startServer } from "./start-server.ts";

const question = { model: "ernie-vl-nano", messages: [{ role: "user", content: "What is your name?" }], temperature: 0 } as const;

async function readMetrics(url: string, key?: string) {
  const response = await fetch(`${url}/metrics`, { headers: key === undefined ? {} : { authorization: `Bearer ${key}` } });
  return parseMetrics(await response.text());
}

/** Waits until the engine has nothing to do. */
async function settle(server: RunningServer): Promise<void> {
  await expect.poll(async () => (await server.health()).running).toBe(0);
}

test("the metrics of a few requests are the sums of their usages, one that is aborted counts once, and then nothing runs", async () => {
  const server = await startBroken("slow", ["--api-key", "key"], { apiKey: "key" });
  try {
    const usages: OpenAI.CompletionUsage[] = [];
    const long = "One, two, three, four, five. ".repeat(20);
    for (const content of [long, `${long}Go on.`, "Count."]) {
      const answer = await server.client.chat.completions.create({ ...question, messages: [{ role: "user", content }], max_tokens: 20 });
      usages.push(answer.usage!);
    }
    const before = await readMetrics(server.url, "key");
    const stream = await server.client.chat.completions.create({ ...question, stream: true, max_tokens: 3000, ignore_eos: true } as never);
    for await (const _ of stream as unknown as AsyncIterable<unknown>) break;
    await settle(server);
    const after = await readMetrics(server.url, "key");

    const total = (of: (usage: OpenAI.CompletionUsage) => number) => usages.reduce((sum, usage) => sum + of(usage), 0);
    expect(before("ernie_vl_prompt_tokens_total")).toBe(total(({ prompt_tokens }) => prompt_tokens));
    expect(before("ernie_vl_generation_tokens_total")).toBe(total(({ completion_tokens }) => completion_tokens));
    expect(before("ernie_vl_prefix_cache_hits_total")).toBe(total((usage) => usage.prompt_tokens_details?.cached_tokens ?? 0));
    expect(before("ernie_vl_prefix_cache_hits_total")).toBeGreaterThan(0);
    expect(before("ernie_vl_time_to_first_token_seconds_count")).toBe(3);
    expect(before("ernie_vl_inter_token_latency_seconds_count")).toBe(total(({ completion_tokens }) => completion_tokens - 1));
    expect(before("ernie_vl_step_tokens_total", { kind: "decode" })).toBe(total(({ completion_tokens }) => completion_tokens - 1));
    expect(before("vllm:request_success_total")).toBe(3);

    expect(after("ernie_vl_request_success_total", { finished_reason: "abort" })).toBe(1);
    expect(after("vllm:request_success_total")).toBe(4);
    for (const name of ["num_requests_running", "num_requests_waiting", "slots_used"]) expect(after(`ernie_vl_${name}`)).toBe(0);
    expect(after("ernie_vl_process_resident_memory_bytes")).toBeGreaterThan(0);
  } finally {
    await server.stop();
  }
});

test("a port for metrics serves them without a key, and the API does not any more", async () => {
  const server = await startServer(["--api-key", "key", "--metrics-port", "0"], "key");
  try {
    const metricsUrl = /metrics {2}(http:\S+)\/metrics/.exec(server.printed())![1]!;

    expect((await readMetrics(metricsUrl))("ernie_vl_slots")).toBeGreaterThan(0);
    expect((await fetch(`${server.url}/metrics`, { headers: { authorization: "Bearer key" } })).status).toBe(404);
  } finally {
    expect(await server.stop()).toBe(0);
  }
});
