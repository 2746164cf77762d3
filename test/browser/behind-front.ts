// The page of a server behind a front that can answer in its place, opened anew for each test of a file.

import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { type RunningServer, startServer } from "../e2e/start-server.ts";
import { launchBrowser, openPage, type OpenedPage } from "./browser.ts";
import { type ChatAnswer, type Front, startFront } from "./front.ts";

/** Call it once, outside of tests. `use` gets what the next test works with; each test ends with the page having done nothing it must not. */
export function openBehindFront(
  use: (front: Front, opened: OpenedPage) => void,
  { answer, apiKey }: { readonly answer?: ChatAnswer; readonly apiKey?: string } = {},
): void {
  let server: RunningServer;
  let front: Front;
  let browser: Browser;
  let opened: OpenedPage;

  beforeAll(async () => {
    server = apiKey === undefined ? await startServer() : await startServer(["--api-key", apiKey], apiKey);
    front = await startFront(server.url);
    browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await front?.close();
    await server?.stop();
  });
  beforeEach(async () => {
    front.answerWith(answer);
    opened = await openPage(browser, front.url);
    use(front, opened);
  });
  afterEach(async () => {
    expect([opened.faults, opened.strayRequests]).toEqual([[], []]);
    await opened.close();
  });
}
