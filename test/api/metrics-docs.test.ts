import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { vllmNames } from "../../src/api/metric-aliases.ts";
import { ServerMetrics } from "../../src/api/metrics.ts";

test("docs/observability.md has every metric, as the registry describes it", async () => {
  const metrics = new ServerMetrics({
    modelId: "m",
    slotCount: 1,
    stats: () => ({ running: 0, waiting: 0, slotsUsed: 0, kvCacheUsage: 0, preemptions: 0 }),
  });
  const rows = (await metrics.registry.getMetricsAsJSON()).map(
    ({ name, help, type }) =>
      `| \`${name}\` | ${String(type)} | ${help} | ${(vllmNames[name] ?? []).map((alias) => `\`${alias}\``).join(", ")} |`,
  );
  const table = ["| name | type | is | vLLM's name |", "|---|---|---|---|", ...rows].join("\n");

  const docs = readFileSync(new URL("../../docs/observability.md", import.meta.url), "utf8");

  expect(/<!-- metrics[^>]*-->\n([^]*?)\n<!-- \/metrics -->/.exec(docs)?.[1]).toBe(table);
});
