// A browser whose pages can reach one server and nothing else, and which notes what a page must not do.

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AxeResults } from "axe-core";
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from "playwright-core";

/** Debian's; another one by CHROMIUM. */
const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

/** What no network is asked for: the last two are of the browser's own viewer of PDFs. */
const ownProtocols = ["data:", "blob:", "chrome:", "chrome-extension:"];

/** What takes longer on a busy machine will not come. */
const patienceMs = 120_000;

export async function launchBrowser(): Promise<Browser> {
  if (!existsSync(executablePath)) throw new Error(`${executablePath} is missing; install chromium, or set CHROMIUM to one`);
  // Chromium has no sandbox of its own where everything runs as root, as in a container.
  return chromium.launch({ executablePath, timeout: patienceMs, args: process.getuid?.() === 0 ? ["--no-sandbox"] : [] });
}

export type OpenedPage = {
  readonly page: Page;
  /** Requests to anywhere but the server; they were not let through. */
  readonly strayRequests: string[];
  /** Paths of requests to the server. */
  readonly requests: string[];
  /** Uncaught errors, and breaches of the content security policy. */
  readonly faults: string[];
  close(): Promise<void>;
};

/** The page at rest: it listens to keys and drops, and the server has told what it serves, or why not. */
export async function openPage(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<OpenedPage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  context.setDefaultTimeout(patienceMs);
  const opened = { strayRequests: [] as string[], requests: [] as string[], faults: [] as string[] };
  await context.route("**/*", async (route) => {
    const address = new URL(route.request().url());
    const isOwn = address.origin === new URL(url).origin || ownProtocols.includes(address.protocol);
    (isOwn ? opened.requests : opened.strayRequests).push(isOwn ? address.pathname : address.href);
    await (isOwn ? route.continue() : route.abort());
  });
  const page = await context.newPage();
  page.on("pageerror", ({ message }) => opened.faults.push(message));
  page.on("console", (line) => {
    if (/content security policy|trusted ?types/i.test(line.text())) opened.faults.push(line.text());
  });
  await page.goto(url);
  await page.locator(".model:not(.connecting)").waitFor();
  return { page, ...opened, close: () => context.close() };
}

/** The message field of the page, as opposed to that of a message that is being edited. */
export const messageField = (page: Page) => page.getByRole("textbox", { name: "Message", exact: true });

export async function send(page: Page, text: string): Promise<void> {
  await messageField(page).fill(text);
  await messageField(page).press("Enter");
}

/** As a person drags a file from a folder onto part of the page. */
export async function drop(onto: Locator, name: string, type: string, content: Buffer): Promise<void> {
  const file = { name, type, base64: content.toString("base64") };
  await onto.evaluate((element, dropped) => {
    const bytes = Uint8Array.from(atob(dropped.base64), (char) => char.charCodeAt(0));
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], dropped.name, { type: dropped.type }));
    element.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
  }, file);
}

/** The last answer once it is whole: its figures are shown. */
export async function lastAnswer(page: Page) {
  const answer = page.locator(".turn.answer").last();
  await answer.locator(".answer-foot").waitFor();
  return answer;
}

type KeptRecord = { readonly id: string | string[]; readonly url?: string };

/** All records of conversations and files, as the page's database holds them; none while there is no database. */
export const keptRecords = (page: Page): Promise<KeptRecord[]> =>
  page.evaluate(
    () =>
      new Promise<KeptRecord[]>((resolve) => {
        const opening = indexedDB.open("ernie-vl");
        opening.addEventListener("upgradeneeded", () => opening.transaction!.abort()); // the page makes it
        opening.addEventListener("error", () => resolve([]));
        opening.addEventListener("success", () => {
          const reading = opening.result.transaction("conversations").objectStore("conversations").getAll();
          reading.addEventListener("success", () => {
            opening.result.close();
            resolve(reading.result);
          });
        });
      }),
  );

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Faults of weight by axe-core's rules, one line each. */
export async function faultsOf(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => (window as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run());
  if (passes.length <= 10) throw new Error(`axe looked at ${passes.length} rules only`);
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => String(target)).join(" | ")}`);
}
