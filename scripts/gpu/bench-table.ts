// npm run bench-table: writes what bench/results/gpu.json says into docs/gpu.md.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { benchReport, withReport, type BenchFile } from "./bench-report.ts";

export const benchPage = fileURLToPath(new URL("../../docs/gpu.md", import.meta.url));
const resultFile = fileURLToPath(new URL("../../bench/results/gpu.json", import.meta.url));

/** The page as it should be: docs/gpu.md with the table of the last run. */
export function currentPage(): string {
  const file = existsSync(resultFile) ? (JSON.parse(readFileSync(resultFile, "utf8")) as BenchFile) : undefined;
  return withReport(readFileSync(benchPage, "utf8"), benchReport(file));
}

if (process.argv[1]?.endsWith("bench-table.ts")) writeFileSync(benchPage, currentPage());
