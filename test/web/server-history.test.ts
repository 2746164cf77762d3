// What /metrics says becomes series over the last minutes.

import { expect, test } from "vitest";
import { ServerMetrics } from "../../src/api/metrics.ts";
import {
  addSnapshot,
  levelOf,
  meanMsOf,
  rateOf,
  readSnapshot,
  roundTop,
  type Snapshot,
  spanOf,
  stretchesOf,
} from "../../web/chat/server-history.ts";

const empty: Snapshot = {
  atMs: 0,
  startedAt: 0,
  answers: 0,
  running: 0,
  waiting: 0,
  kvCacheUsage: 0,
  promptTokens: 0,
  cachedTokens: 0,
  outputTokens: 0,
  firstToken: { seconds: 0, count: 0 },
  nextToken: { seconds: 0, count: 0 },
};

test("reads what the server's own registry writes", async () => {
  const metrics = new ServerMetrics({
    modelId: 'a "quoted" name',
    slotCount: 4,
    stats: () => ({ running: 3, waiting: 2, slotsUsed: 3, kvCacheUsage: 0.25, preemptions: 0 }),
  });

  expect(readSnapshot(await metrics.registry.metrics(), 7)).toEqual({ ...empty, atMs: 7, running: 3, waiting: 2, kvCacheUsage: 0.25 });
});

test("adds up what has several labels, and leaves vLLM's names and the process's alone", () => {
  const text = [
    "# TYPE ernie_vl_prompt_tokens_total counter",
    'ernie_vl_prompt_tokens_total{model_name="m",kind="a"} 3',
    'ernie_vl_prompt_tokens_total{model_name="m",kind="b"} 4',
    'vllm:prompt_tokens_total{model_name="m"} 100',
    "ernie_vl_time_to_first_token_seconds_sum 0.5",
    "ernie_vl_time_to_first_token_seconds_count 2",
    'ernie_vl_time_to_first_token_seconds_bucket{le="1"} 2',
  ].join("\n");

  const { promptTokens, firstToken } = readSnapshot(text, 0);

  expect(promptTokens).toBe(7);
  expect(firstToken).toEqual({ seconds: 0.5, count: 2 });
});

test("keeps five minutes, and begins anew with a server that was started anew", () => {
  let history: readonly Snapshot[] = [];
  for (let atMs = 0; atMs <= 400_000; atMs += 2000) history = addSnapshot(history, { ...empty, atMs, outputTokens: atMs });

  expect(history[0]!.atMs).toBe(100_000);
  expect(history.length).toBe(151);
  expect(addSnapshot(history, { ...empty, atMs: 402_000, startedAt: 1 })).toHaveLength(1);
});

test("rates and means are those between two looks; nothing measured is no point, not zero", () => {
  const history = [
    { ...empty },
    { ...empty, atMs: 2000, outputTokens: 10, running: 2, firstToken: { seconds: 0.6, count: 3 } },
    { ...empty, atMs: 4000, outputTokens: 10, firstToken: { seconds: 0.6, count: 3 } },
  ];

  expect(levelOf(history, ({ running }) => running).map(({ value }) => value)).toEqual([0, 2, 0]);
  expect(rateOf(history, ({ outputTokens }) => outputTokens)).toEqual([
    { atMs: 2000, value: 5 },
    { atMs: 4000, value: 0 },
  ]);
  expect(meanMsOf(history, ({ firstToken }) => firstToken).map(({ value }) => value && Math.round(value))).toEqual([200, undefined]);
});

test("a line breaks where nobody looked for long, and goes on over what was not measured", () => {
  const points = [0, 2000, 4000, 30_000].map((atMs) => ({ atMs, value: atMs === 2000 ? undefined : 1 }));

  expect(stretchesOf(points).map((stretch) => stretch.map(({ atMs }) => atMs))).toEqual([[0, 4000], [30_000]]);
});

test.each([
  [[], 1],
  [[0], 1],
  [[0, 59_000], 1],
  [[0, 61_000], 2],
  [[0, 400_000], 5],
])("looks at %j ms make charts of %d minutes", (times, minutes) => {
  expect(spanOf(times.map((atMs) => ({ ...empty, atMs })))).toBe(minutes * 60_000);
});

test.each([
  [[], 1],
  [[3], 5],
  [[0.2, 17], 20],
  [[999, undefined], 1000],
])("the top above %j is %d", (values, top) => {
  expect(roundTop(values.map((value) => ({ atMs: 0, value })))).toBe(top);
});
