import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { decodeFloor } from "../../scripts/gpu/bench/step-floor.ts";
import { benchReport, withReport, type BenchFile } from "../../scripts/gpu/bench-report.ts";
import { checkReport, type CheckFile } from "../../scripts/gpu/check-report.ts";
import { benchPage, currentPage } from "../../scripts/gpu/bench-table.ts";
import { totalOf, weightBytesByPart } from "../../src/cli/memory-report.ts";
import { openSynthetic } from "../../src/convert/synthetic.ts";

const run = {
  date: "2026-01-02",
  commit: "abc1234",
  version: "0.1.0",
  command: "npm run bench-gpu --",
  device: "cuda",
  gpu: "NVIDIA H200",
  machine: "16 × CPU",
  node: "v20.20.2",
} as const;

const job = (name: string, records: Record<string, unknown>) => ({ name, status: "ok" as const, records });

const file: BenchFile = {
  run,
  jobs: [
    job("copies", { copyGigabytesPerSecond: { "on the device": 4000 } }),
    job("decode", {
      loadSeconds: 20.04,
      memoryBytes: { used: 30e9, kvCache: 8.1e9 },
      decode: {
        contextTokens: 2048,
        rows: [{ streams: 1, tokensPerSecond: 500.4, floorBytes: { weightBytes: 1.9e9, cacheBytes: 0.1e9 } }],
      },
    }),
    job("prefill", {
      prefill: { rows: [{ promptTokens: 32768, seconds: 1.25 }] },
      longSequence: { tokens: 131_072, firstTokenSeconds: 9.04, decodeTokensPerSecond: 200.4 },
    }),
    job("picture", { picture: { promptTokens: 1300, hostMs: 40, engineMs: 80 } }),
    {
      ...job("host-overhead", {
        hostOverhead: [
          { streams: 1, stepMs: 1.9, hostMs: 0.1 },
          { streams: 8, stepMs: 2, hostMs: 0.1 },
        ],
      }),
      status: "crashed",
    },
    job("convert", { weightBytes: { experts: 15e9, attention: 3.9e9 } }),
    job("mixed-load", {
      mixedLoad: { running: 16, arriving: 4, arrivingTokens: 2048, tokensPerSecond: 3000.4, gapMs: { p50: 4.04, p99: 40, largest: 41.26 } },
    }),
    job("transformers", {
      transformers: { decode: [{ streams: 1, tokensPerSecond: 17 }], prefill: [{ promptTokens: 32768, tokensPerSecond: 2100.2 }] },
    }),
  ],
};

describe("docs/gpu.md", () => {
  it("holds what bench/results/gpu.json and gpu-check.json say (npm run bench-table writes it)", () => {
    expect(readFileSync(benchPage, "utf8")).toBe(currentPage());
  });
});

describe("the report of a bench", () => {
  const rowOf = (report: string, label: string) => report.split("\n").find((line) => line.startsWith(`| ${label}`));

  it("says of everything that has not run that it has not", () => {
    const rows = benchReport(undefined).split("\n").slice(4);
    expect(rows.length).toBeGreaterThan(10);
    for (const row of rows) expect(row).toContain("not yet run on a GPU");
  });

  it.each([
    [
      "decode, 1 stream",
      "| decode, 1 stream of 2,048 tokens | ≥ 450 tokens/s | 500 tokens/s (transformers: 17) | 2.0 GB a step: at most 2,000 tokens/s |",
    ],
    ["prompt of 32,768", "| prompt of 32,768 tokens | < 1.5 s | 1.250 s, 26,214 tokens/s (transformers: 2,100) |  |"],
    [
      "16 streams while",
      "| 16 streams while 4 prompts of 2,048 tokens arrive |  | 3,000 tokens/s; between two tokens 4.0 ms, 99 % at most 40.0, largest 41.3 |  |",
    ],
    [
      "first token",
      "| first token of a question about a picture of 1 megapixel | < 150 ms | 120 ms, 40 of it to decode and resize; 1,300 prompt tokens |  |",
    ],
    ["one sequence", "| one sequence of 131,072 tokens | works | 131,072 tokens: first token after 9.0 s, then 200 tokens/s |  |"],
    ["host's share", "| host's share of a decode step (streams) | < 10 % | 9.9 % (1), 5.0 % (8) |  |"],
  ])("has a row for %s beside its goal", (label, row) => expect(rowOf(benchReport(file), label)).toBe(row));

  it("says where, when and how it ran, and what did not end well", () => {
    expect(benchReport(file).split("\n")[0]).toBe(
      "NVIDIA H200, 2026-01-02, commit abc1234, `npm run bench-gpu --`; copies on the device 4,000 GB/s; loaded and warmed up in 20.0 s; " +
        "30.0 GB of memory, 8.1 GB of it KV cache, 18.9 GB weights. Not complete: host-overhead: crashed.",
    );
  });

  it("refuses a page without its markers", () => expect(() => withReport("# page", "bench-gpu", "report")).toThrow("expected"));
});

describe("the report of a check", () => {
  const found = (name: string, lines: readonly string[], records: Record<string, unknown> = {}) => ({
    ...job(name, records),
    lines,
    reasons: [],
  });
  const time = (operator: string, tokens: number, microseconds: number) => ({ operator, tokens, microseconds, weightBytes: 40e6 });
  const checked: CheckFile = {
    run,
    jobs: [
      found("environment", ["GB/s: on the device 4000"], { copyGigabytesPerSecond: { "on the device": 4000 } }),
      { ...found("stages-nano-qmoe", ["bf16: logits 1.0e-2"]), status: "wrong", reasons: ["fp16: a|b"] },
      found("experts", ["ModalityMoe, 4 tokens"], {
        experts: [time("ModalityMoe", 4, 12.5), time("ModalityMoe", 8192, 900), time("QMoE", 4, 25)],
      }),
      found("kernel-times", ["28b-slice, 1 streams: 50 kernels", "     12.0 µs  4 × decode"]),
    ],
  };

  it("says that nothing has run", () => expect(checkReport(undefined)).toBe("Nothing of it has run on a GPU yet."));

  it("has what each job found and what was wrong, without the details", () => {
    const rows = checkReport(checked).split("\n").slice(4, 8);
    expect(rows).toEqual([
      "| `environment` | ok | GB/s: on the device 4000 |",
      String.raw`| ${"`stages-nano-qmoe`"} | wrong | bf16: logits 1.0e-2<br>**fp16: a\|b** |`,
      "| `experts` | ok | ModalityMoe, 4 tokens |",
      "| `kernel-times` | ok | 28b-slice, 1 streams: 50 kernels |",
    ]);
  });

  it("sets the experts' times beside a copy's speed, QMoE's and the goals, as far as they were measured", () => {
    expect(checkReport(checked).split("\n").slice(-2)).toEqual([
      "| 4 | 12.5 | 80 % | 25.0 | 2.00 | ≥ 1.5 |",
      "| 8,192 | 900.0 | 1 % |  |  |  |",
    ]);
  });
});

describe("the floor of a decode step", () => {
  const { config } = openSynthetic("28b");
  const settings = { weights: "int4", activations: "bf16", experts: "modality-moe" } as const;
  const floor = decodeFloor({ config, settings });

  it("grows with the streams up to every text expert, and never holds the vision tower", () => {
    const parts = weightBytesByPart(config, settings);
    const read = (streams: number) => floor(streams, 0).weightBytes;
    expect(read(1)).toBeLessThan(read(8));
    const others = ["vision experts", "vision tower", "resampler"] as const;
    const most = totalOf(parts) - others.reduce((sum, part) => sum + parts.get(part)!, 0);
    expect(read(100_000)).toBeLessThan(most);
    expect(read(1)).toBeGreaterThan((6 / 64) * parts.get("text experts")!);
  });

  it("counts every stream's keys and values", () => {
    // 28 layers × 4 heads × 128 × 2 bytes, keys and values
    expect(floor(8, 2048).cacheBytes).toBe(8 * 2048 * 57_344);
  });
});
