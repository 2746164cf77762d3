// `ernie-vl bench`: queries the server, makes prompts, sends them, and reports the figures.

import { accessSync, constants, existsSync, writeFileSync } from "node:fs";
import { cpus, platform, release } from "node:os";
import { dirname } from "node:path";
import { interruptedExitCode, UserError } from "../core/errors.ts";
import { writing } from "../core/file-system.ts";
import { poissonArrivals } from "../loadgen/arrivals.ts";
import { compareBlocks, cutIntoBlocks, joinBlocks, type Ratio } from "../loadgen/comparison.ts";
import { Connection } from "../client/connection.ts";
import { type Conversation, readDataset } from "../loadgen/dataset.ts";
import { type CountTokens, tokensPerWord } from "../loadgen/random-text.ts";
import { type LoadProgress, type LoadResult, runLoad } from "../loadgen/run-load.ts";
import { chooseModel, countPromptTokens, countTokens, serverVersion } from "../client/server-info.ts";
import { type ServiceLevel, summarize, type Summary } from "../loadgen/summary.ts";
import {
  type AnswerSettings,
  makeConversations,
  requestBody,
  requestPath,
  type SyntheticPrompts,
  type TextSizing,
} from "../loadgen/workload.ts";
import { programVersion } from "../version.ts";
import { describeComparison, describeSummary } from "./bench-report.ts";
import { RequestProgress } from "./request-progress.ts";

type BenchServer = { readonly url: string; readonly model: string | undefined; readonly apiKey: string | undefined };

type BenchLoad = {
  readonly requests: number;
  /** Undefined: each request is sent as soon as an earlier one is done. */
  readonly ratePerSecond: number | undefined;
  readonly concurrency: number;
  readonly warmup: number;
  readonly timeoutMs: number;
  readonly seed: number;
};

export type BenchOptions = {
  readonly server: BenchServer;
  /** Gets the same requests, in alternating blocks. */
  readonly compared: BenchServer | undefined;
  readonly load: BenchLoad;
  readonly prompts: SyntheticPrompts | { readonly file: string };
  readonly answers: AnswerSettings;
  readonly serviceLevel: ServiceLevel | undefined;
  readonly jsonFile: string | undefined;
};

type Say = (line: string) => void;

/** Most pairs of blocks in a comparison; fewer if blocks would be too small to reach the concurrency. */
const mostBlocks = 10;

/** A server and its requests. */
type Side = {
  readonly connection: Connection;
  readonly model: string;
  readonly version: string | undefined;
  readonly bodies: readonly string[];
  readonly warmUpBodies: readonly string[];
  readonly blocks: LoadResult[];
};

/**
 * Prints the figures, then sets exit code 1 if no request was answered, 130 if the user stopped it. Throws UserError if the server cannot be
 * used at all.
 */
export async function bench(options: BenchOptions, say: Say): Promise<void> {
  if (options.jsonFile !== undefined) requireWritable(options.jsonFile);
  const interruption = new AbortController();
  const interrupt = (): void => interruption.abort();
  const sides = await prepareSides(options, say);
  process.once("SIGINT", interrupt); // a second Ctrl-C ends the program at once
  try {
    for (const side of sides) await warmUp(side, options, interruption.signal);
    const clientBusy = await sendAll(sides, options, interruption.signal);
    report(sides, options, clientBusy, say);
    if (interruption.signal.aborted) process.exitCode = interruptedExitCode;
  } finally {
    process.off("SIGINT", interrupt);
    for (const { connection } of sides) connection.close();
  }
}

async function prepareSides(options: BenchOptions, say: Say): Promise<Side[]> {
  const servers = [options.server, ...(options.compared ? [options.compared] : [])];
  const reached = await Promise.all(
    servers.map(async ({ url, model, apiKey }) => {
      const connection = new Connection(url, apiKey);
      return { connection, model: await chooseModel(connection, model), version: await serverVersion(connection), blocks: [] };
    }),
  );
  for (const { connection, model, version } of reached)
    say(`server   ${connection.baseUrl}, ${model}${version ? `, version ${version}` : ""}`);
  const conversations = await prepareConversations(reached[0]!, options, say);
  const { requests } = options.load;
  return reached.map((side) => {
    const bodies = conversations.map((conversation) => JSON.stringify(requestBody(conversation, side.model, options.answers)));
    return { ...side, bodies: bodies.slice(0, requests), warmUpBodies: bodies.slice(requests) };
  });
}

/** The conversations of the load, followed by those of the warm-up. */
async function prepareConversations(first: Pick<Side, "connection" | "model">, options: BenchOptions, say: Say): Promise<Conversation[]> {
  const { prompts, load } = options;
  const wanted = load.requests + load.warmup;
  if (!("file" in prompts)) return makeConversations(wanted, prompts, await sizeTexts(first, options, say), load.seed);
  const conversations = readDataset(prompts.file);
  if (conversations.length < wanted) {
    say(`prompts  ${prompts.file} has ${conversations.length}; they are repeated, so some may be in the server's cache`);
  }
  return Array.from({ length: wanted }, (_, i) => conversations[i % conversations.length]!);
}

/** Uses the server's tokenizer if it has one, else the usage figures of two requests, else the usual ratio. */
async function sizeTexts({ connection, model }: Pick<Side, "connection" | "model">, options: BenchOptions, say: Say): Promise<TextSizing> {
  const { answers, load } = options;
  const count: CountTokens = (text) => countTokens(connection, model, text);
  const byTokenizer = await tokensPerWord(count, load.seed);
  if (byTokenizer.isCounted) return { tokensPerWord: byTokenizer.ratio, count };
  const byUsage = await tokensPerWord((text) => {
    const {
      stream: _,
      stream_options: __,
      ...body
    } = requestBody({ messages: [{ role: "user", content: text }], maxTokens: 1 }, model, answers) as Record<string, unknown>;
    return countPromptTokens(connection, requestPath(answers), body, load.timeoutMs);
  }, load.seed);
  const source = byUsage.isCounted ? "the usage of two requests" : "a guess, as the server reports no token counts";
  say(`prompts  sized by ${source} (${byUsage.ratio.toFixed(2)} tokens per word): the server has no /tokenize`);
  return { tokensPerWord: byUsage.ratio };
}

async function warmUp({ connection, warmUpBodies }: Side, options: BenchOptions, signal: AbortSignal): Promise<void> {
  const { load, answers } = options;
  if (warmUpBodies.length === 0) return;
  const plan = { bodies: warmUpBodies, concurrency: load.concurrency, path: requestPath(answers), timeoutMs: load.timeoutMs };
  const { failures, completed } = summarize(await runLoad(connection, plan, signal));
  const [failure] = failures;
  if (completed > 0 || !failure) return;
  throw new UserError(`${connection.baseUrl} answered none of the warm-up requests: ${failure.kind}: ${failure.example}`);
}

/** The first and last requests of a block run at lower concurrency; two full rounds per block keep that share small. */
function blockCount({ requests, concurrency }: BenchLoad): number {
  const rounds = Number.isFinite(concurrency) ? Math.floor(requests / (2 * concurrency)) : mostBlocks;
  return Math.max(2, Math.min(rounds, mostBlocks));
}

/** Fills the blocks of each side: one block if there is nothing to compare. Returns the share of time that this process was busy. */
async function sendAll(sides: readonly Side[], options: BenchOptions, signal: AbortSignal): Promise<number> {
  const { load, answers } = options;
  const progress: LoadProgress = { done: 0, running: 0, failed: 0, tokens: 0 };
  const display = new RequestProgress(progress, load.requests * sides.length);
  const before = performance.eventLoopUtilization();
  const cuts = cutIntoBlocks(load.requests, sides.length > 1 ? blockCount(load) : 1);
  for (let i = 0; i + 1 < cuts.length && !signal.aborted; i++) {
    const [start, end] = [cuts[i]!, cuts[i + 1]!];
    const arrivalsMs = load.ratePerSecond === undefined ? undefined : poissonArrivals(end - start, load.ratePerSecond, load.seed + i);
    // The servers take turns at going first, so that steady changes (heat, a filling cache) favour neither.
    for (const side of i % 2 === 0 ? sides : sides.toReversed()) {
      const plan = {
        bodies: side.bodies.slice(start, end),
        firstIndex: start,
        arrivalsMs,
        concurrency: load.concurrency,
        path: requestPath(answers),
        timeoutMs: load.timeoutMs,
      };
      side.blocks.push(await runLoad(side.connection, plan, signal, progress));
    }
  }
  display.stop();
  return performance.eventLoopUtilization(before).utilization;
}

function report(sides: readonly Side[], options: BenchOptions, clientBusy: number, say: Say): void {
  const results = sides.map(({ blocks }) => joinBlocks(blocks));
  const summaries = results.map((result) => summarize(result, options.serviceLevel));
  sides.forEach(({ connection, model }, i) => {
    say("");
    say(`${sides.length > 1 ? `${"AB"[i]}: ` : ""}${connection.baseUrl}, ${model}`);
    for (const line of describeSummary(summaries[i]!, options)) say(line);
  });
  const [a, b] = sides;
  const pairs = a && b && wholePairs(a.blocks, b.blocks);
  const comparison = pairs && compareBlocks(...pairs, options.load.seed);
  if (comparison) for (const line of describeComparison(comparison, pairs[0].length, summaries)) say(line);
  say("");
  say(`client   busy ${(100 * clientBusy).toFixed(0)} % of the time${clientBusy > 0.8 ? ": the client may be the bottleneck" : ""}`);
  if (options.jsonFile !== undefined) {
    writeReport(options.jsonFile, { sides, results, summaries, comparison, clientBusy }, options);
    say(`written  ${options.jsonFile}`);
  }
  if (summaries.every(({ completed }) => completed === 0)) process.exitCode = 1;
}

/** If the user stopped the run, the last pair differs between the sides and is left out. */
function wholePairs(a: readonly LoadResult[], b: readonly LoadResult[]): [LoadResult[], LoadResult[]] {
  const isWhole = (_: LoadResult, i: number): boolean => a[i]!.records.length === b[i]!.records.length;
  return [a.filter(isWhole), b.filter(isWhole)];
}

type Figures = {
  readonly sides: readonly Side[];
  readonly results: readonly LoadResult[];
  readonly summaries: readonly Summary[];
  readonly comparison: readonly Ratio[] | undefined;
  readonly clientBusy: number;
};

/** Checked up front, not at the end of a long measurement. */
function requireWritable(path: string): void {
  writing(path, () => accessSync(existsSync(path) ? path : dirname(path), constants.W_OK));
}

function writeReport(path: string, figures: Figures, options: BenchOptions): void {
  const { load, prompts, answers, serviceLevel } = options; // no keys
  const settings = { ...load, concurrency: Number.isFinite(load.concurrency) ? load.concurrency : "unlimited" };
  const content = {
    program: `ernie-vl ${programVersion()}`,
    date: new Date().toISOString(),
    machine: { cpus: cpus().length, cpu: cpus()[0]?.model, system: `${platform()} ${release()}`, node: process.version },
    settings: { ...settings, prompts, answers, serviceLevel },
    clientBusy: figures.clientBusy,
    servers: figures.sides.map(({ connection, model, version }, i) => ({
      url: connection.baseUrl,
      model,
      version,
      summary: figures.summaries[i],
      requests: figures.results[i]!.records,
    })),
    comparison: figures.comparison,
  };
  const microseconds = (_key: string, value: unknown) => (typeof value === "number" ? Math.round(value * 1000) / 1000 : value);
  writing(path, () => writeFileSync(path, `${JSON.stringify(content, microseconds, 1)}\n`));
}
