// The views of an answer's experts and of the server's status, against the real server with nano.

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningServer, startServer } from "../e2e/start-server.ts";
import { faultsOf, launchBrowser, lastAnswer, openPage, send } from "./browser.ts";

let browser: Browser;

beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser?.close();
});

const screens = [
  ["light", { colorScheme: "light" as const }],
  ["phone, dark", { colorScheme: "dark" as const, viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }],
] as const;

const isTooWide = (page: Page) => page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);

/** Of a map, the share of painted pixels that are not those of experts nobody chose, left and right of its middle. */
const coloured = (page: Page, modality: string) =>
  page.locator(`canvas[data-modality="${modality}"]`).evaluate((element) => {
    const canvas = element as HTMLCanvasElement;
    const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
    const counts = { left: 0, right: 0 };
    for (let i = 0; i < data.length; i += 4) {
      const x = (i / 4) % canvas.width;
      if (data[i + 3] !== 255 || Math.abs(x - canvas.width / 2) < 3) continue;
      counts[x < canvas.width / 2 ? "left" : "right"]++;
    }
    return counts;
  });

describe.each(screens)("in %s", (_, options) => {
  let server: RunningServer; // its own: what is cached is not routed
  beforeAll(async () => {
    server = await startServer(["--expose-routing"]);
  });
  afterAll(async () => {
    await server?.stop();
  });

  test("the experts of an answer: text on the one half, the picture on the other, and the picture's patches", async () => {
    const { page, faults, close } = await openPage(browser, server.url, options);
    await page.getByRole("button", { name: "Describe what you see." }).click();
    const answer = await lastAnswer(page);
    await answer.getByRole("button", { name: "Show the experts of this answer" }).click();
    const dialog = page.getByRole("dialog", { name: "Experts of this answer" });

    await dialog.getByRole("img", { name: /^Text tokens: \d+ computed.* All chose text experts \(0 to 63\) only/ }).waitFor();
    await dialog.getByRole("img", { name: /^Picture tokens: .* All chose vision experts \(64 to 127\) only/ }).waitFor();
    expect(await coloured(page, "text")).toEqual({ left: expect.any(Number), right: 0 });
    expect((await coloured(page, "text")).left).toBeGreaterThan(0);
    expect((await coloured(page, "vision")).left).toBe(0);
    expect((await coloured(page, "vision")).right).toBeGreaterThan(0);

    const slider = dialog.getByRole("slider", { name: "Layer" });
    await dialog.getByRole("img", { name: /layer 3: expert \d+ for \d+ patch/ }).waitFor();
    await slider.focus();
    await page.keyboard.press("ArrowLeft");
    await dialog.getByRole("img", { name: /layer 2: expert \d+ for \d+ patch/ }).waitFor();

    expect(await faultsOf(page)).toEqual([]);
    expect(await isTooWide(page)).toBe(false);
    expect(faults).toEqual([]);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    await close();
  });

  test("the status: what the server runs on, figures that follow it, and no request once it is closed", async () => {
    const { page, requests, faults, close } = await openPage(browser, server.url, options);
    await page.getByRole("button", { name: "Server status" }).click();
    const dialog = page.getByRole("dialog", { name: "Server status" });

    await dialog.getByText("ernie-vl-nano").waitFor();
    await dialog.getByText(/^cpu, \d+ cores/).waitFor();
    await dialog.getByText(/KV cache .* that may be used/).waitFor();
    const tokens = dialog.getByRole("img", { name: /^Answer tokens: now/ });
    await tokens.waitFor();
    await page.evaluate(async () => {
      const body = JSON.stringify({ messages: [{ role: "user", content: "Hi" }], max_completion_tokens: 20, ignore_eos: true });
      await fetch("/v1/chat/completions", { method: "POST", headers: { "content-type": "application/json" }, body });
    });
    await dialog.getByRole("img", { name: /^Answer tokens: now .*, at most [1-9]/ }).waitFor();
    await dialog.getByRole("img", { name: /^Time to first token: now \d/ }).waitFor();

    expect(await faultsOf(page)).toEqual([]);
    expect(await isTooWide(page)).toBe(false);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    await page.waitForLoadState("networkidle");
    const asked = requests.length;
    await page.waitForTimeout(4500); // two looks would have been taken
    expect(requests.length).toBe(asked);
    expect(faults).toEqual([]);
    await close();
  });
});

test("a server that hides its routing has no such button, and its status tells how to see it", async () => {
  const hiding = await startServer();
  const { page, close } = await openPage(browser, hiding.url);
  await send(page, "What is the capital of Ireland?");
  const answer = await lastAnswer(page);

  expect(await answer.getByRole("button", { name: "Show the experts of this answer" }).count()).toBe(0);
  await page.getByRole("button", { name: "Server status" }).click();
  await page.getByText("hidden; start the server with --expose-routing to see them").waitFor();
  await close();
  await hiding.stop();
});
