// npm run bench-table: writes what bench/results/gpu.json and gpu-check.json say into docs/gpu.md.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { benchReport, withReport, type BenchFile } from "./bench-report.ts";
import { checkReport, type CheckFile } from "./check-report.ts";

export const benchPage = fileURLToPath(new URL("../../docs/gpu.md", import.meta.url));

/** The page as it should be: docs/gpu.md with the tables of the last runs. */
export function currentPage(): string {
  const bench = withReport(readFileSync(benchPage, "utf8"), "bench-gpu", benchReport(readResults<BenchFile>("gpu.json")));
  return withReport(bench, "gpu-check", checkReport(readResults<CheckFile>("gpu-check.json")));
}

/** Undefined where nothing has been measured yet. */
function readResults<T>(name: string): T | undefined {
  const path = fileURLToPath(new URL(`../../bench/results/${name}`, import.meta.url));
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as T) : undefined;
}

if (process.argv[1]?.endsWith("bench-table.ts")) {
  new Command("bench-table").description("Writes what bench/results/gpu.json and gpu-check.json say into docs/gpu.md.").parse();
  writeFileSync(benchPage, currentPage());
}
