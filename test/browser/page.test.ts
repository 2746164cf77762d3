// The page as a whole: for everyone to use, at rest when nobody does, and under a policy that holds.

import type { Browser, Locator } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningServer, startServer } from "../e2e/start-server.ts";
import { faultsOf, launchBrowser, lastAnswer, messageField, openPage, send } from "./browser.ts";
import { type Front, startFront, streamed } from "./front.ts";

let server: RunningServer;
let browser: Browser;

beforeAll(async () => {
  server = await startServer();
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

describe.each([
  ["light", { colorScheme: "light" as const }],
  ["dark", { colorScheme: "dark" as const }],
  ["phone, light", { colorScheme: "light" as const, viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }],
  ["the smallest phone", { colorScheme: "light" as const, viewport: { width: 280, height: 653 }, hasTouch: true, isMobile: true }],
  ["phone, dark", { colorScheme: "dark" as const, viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }],
])("in %s", (_, options) => {
  test("axe finds no serious fault, whatever is open, and nothing is wider than its place", async () => {
    const { page, close } = await openPage(browser, server.url, options);
    const found: Record<string, string[]> = {};
    const look = async (name: string) => {
      found[name] = await faultsOf(page);
      const tooWide = await page.evaluate(() =>
        [...document.querySelectorAll("html, dialog, .panel, .page-head, .model, .tabs, .chart, .composer, .pictures, .problem")]
          .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)
          .map(({ localName, className }) => `${localName} ${className} is wider than its place`),
      );
      found[name]!.push(...tooWide);
    };

    await look("welcome");
    await page.getByRole("button", { name: "Describe what you see." }).click();
    await (await lastAnswer(page)).locator("summary").click();
    await look("an answer with thinking");
    await page.getByRole("button", { name: "Show the request as code" }).click();
    await look("code");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Server status" }).click();
    await page.locator(".chart").last().waitFor();
    await look("status");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Settings" }).click();
    for (const tab of ["Answer", "JSON", "Tools", "Page"]) {
      await page.getByRole("tab", { name: tab }).click();
      if (tab === "JSON") await page.getByRole("radio", { name: "JSON that matches a schema" }).check();
      await look(tab);
    }
    await page.getByRole("button", { name: "Close settings" }).click();
    await page.getByRole("button", { name: "New conversation" }).first().click();
    await page.getByRole("button", { name: "What is the weather in Toronto?" }).click();
    await page.getByLabel("Result of the call").waitFor();
    await look("a call of a tool");
    const file = { name: `minutes-${"of-a-long-meeting-".repeat(5)}.md`, mimeType: "text/markdown", buffer: Buffer.from("# Minutes") };
    await page.getByRole("button", { name: "New conversation" }).first().click();
    await page.locator("input[type=file]").setInputFiles([file, file]);
    await page.getByRole("button", { name: "Remove minutes" }).nth(1).waitFor();
    await send(page, "What is the capital of Ireland?");
    await lastAnswer(page);
    await page.locator("input[type=file]").setInputFiles([file, file]);
    await page.getByRole("button", { name: "Remove minutes" }).nth(1).waitFor();
    await look("documents, sent and to be sent");

    expect(Object.values(found).flat(), JSON.stringify(found, null, 1)).toEqual([]);
    await close();
  });
});

describe("an answer in sight", () => {
  let front: Front;
  beforeAll(async () => {
    front = await startFront(server.url);
  });
  afterAll(async () => {
    await front?.close();
  });
  const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

  test.each([
    ["as CSS says", true],
    ["in a browser that has no CSS for it", false], // Safari before 26.2
  ])("stays there while the message field grows, %s", async (_, knowsFieldSizing) => {
    const { page, close } = await openPage(browser, front.url, phone);
    if (!knowsFieldSizing) {
      await messageField(page).evaluate((field) => {
        CSS.supports = () => false;
        field.style.setProperty("field-sizing", "fixed");
      });
    }
    front.answerWith(streamed(["A line.\n\n".repeat(60)], "done"));
    await send(page, "Tell me a story.");
    const foot = (await lastAnswer(page)).locator(".answer-foot");
    const heightOfField = () => messageField(page).evaluate(({ clientHeight }) => clientHeight);
    const emptyHeight = await heightOfField();
    for (const word of ["one", "two", "three", "four", "five"]) {
      await messageField(page).press("Shift+Enter");
      await messageField(page).pressSequentially(word);
    }
    expect(await heightOfField()).toBeGreaterThan(emptyHeight + 80);

    const hidden = () =>
      foot.evaluate(
        (element) => element.getBoundingClientRect().bottom - element.closest(".chat")!.querySelector(".dock")!.getBoundingClientRect().top,
      );
    await expect.poll(hidden).toBeLessThanOrEqual(0);
    await messageField(page).fill("");
    expect(await heightOfField()).toBe(emptyHeight);
    await close();
  });

  test("with a wide table has whole words, and the table alone scrolls", async () => {
    const { page, close } = await openPage(browser, front.url, phone);
    const row = "| circle | orange | something quite long goes here | twelve points |\n";
    front.answerWith(streamed([`| name | colour | a rather long heading | points |\n|---|---|---|---|\n${row}`], "done"));
    await send(page, "Make a table.");
    const cell = (await lastAnswer(page)).getByRole("columnheader", { name: "colour" });

    expect(
      await cell.evaluate(({ firstChild }) => {
        const range = document.createRange();
        range.selectNodeContents(firstChild!);
        return range.getClientRects().length; // lines
      }),
    ).toBe(1);
    expect(await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth)).toBe(false);
    await close();
  });
});

test("the switch of colours overrules the system, and is remembered", async () => {
  const { page, close } = await openPage(browser, server.url, { colorScheme: "light" });
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await background();
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("tab", { name: "Page" }).click();
  await page.getByRole("radio", { name: "Dark" }).check();
  const dark = await background();
  await page.reload();

  expect(dark).not.toBe(light);
  await expect.poll(background).toBe(dark);
  await close();
});

test("a conversation is printed as a whole, dark on white", async () => {
  const front = await startFront(server.url);
  const { page, close } = await openPage(browser, front.url, { colorScheme: "dark" });
  front.answerWith(streamed(["A line.\n\n".repeat(100)], "done"));
  await send(page, "Tell me a story.");
  await lastAnswer(page);
  await page.emulateMedia({ media: "print" });

  expect(await page.locator(".transcript").evaluate((shown) => shown.scrollHeight <= shown.clientHeight)).toBe(true);
  expect(await page.evaluate(() => document.documentElement.scrollHeight)).toBeGreaterThan(2000);
  expect(await messageField(page).isVisible()).toBe(false);
  expect(
    await page
      .locator(".turn p")
      .first()
      .evaluate((text) => getComputedStyle(text).color),
  ).toBe("rgb(23, 26, 33)");
  await close();
  await front.close();
});

test("the beginning of a long conversation is laid out only in sight, and printed", async () => {
  const front = await startFront(server.url);
  const { page, close } = await openPage(browser, front.url);
  front.answerWith(streamed(["A line.\n\n".repeat(20)], "done"));
  for (let asked = 1; asked <= 11; asked++) {
    await send(page, "Tell me a story.");
    await expect.poll(() => page.locator(".answer-foot").count()).toBe(asked);
  }
  const isLaidOut = () =>
    page
      .locator(".bubble")
      .first()
      .evaluate((bubble) => bubble.checkVisibility({ contentVisibilityAuto: true }));

  await expect.poll(isLaidOut).toBe(false);
  expect(
    await page
      .locator(".answer-foot")
      .last()
      .evaluate((foot) => foot.getBoundingClientRect().bottom),
  ).toBeLessThan(800);
  await page.emulateMedia({ media: "print" });
  await expect.poll(isLaidOut).toBe(true);
  await page.emulateMedia({ media: "screen" });
  await expect.poll(isLaidOut).toBe(false);
  await page.locator(".transcript").evaluate((shown) => shown.scrollTo({ top: 0 }));
  await expect.poll(isLaidOut).toBe(true);
  await close();
  await front.close();
});

test("what is chosen can be told from the rest in a high-contrast theme", async () => {
  const { page, close } = await openPage(browser, server.url, { forcedColors: "active" });
  const think = page.getByRole("button", { name: "Think", exact: true });
  await page.getByRole("button", { name: "Settings" }).click();
  const colours = (shown: Locator) =>
    shown.evaluate((element) => [getComputedStyle(element).color, getComputedStyle(element).backgroundColor]);
  const chosen = await page.evaluate(() => {
    const probe = document.body.appendChild(document.createElement("p"));
    probe.style.cssText = "forced-color-adjust: none; color: HighlightText; background: Highlight";
    return [getComputedStyle(probe).color, getComputedStyle(probe).backgroundColor];
  });

  expect(await colours(page.getByRole("tab", { name: "Answer" }))).toEqual(chosen);
  expect(await colours(page.getByRole("tab", { name: "Tools" }))).not.toEqual(chosen);
  expect(await colours(think)).not.toEqual(chosen);
  await think.click();
  await expect.poll(() => colours(think)).toEqual(chosen);
  await close();
});

describe("with the keyboard alone", () => {
  test("a question is asked, stopped nowhere, edited, and settings are changed", async () => {
    const { page, close } = await openPage(browser, server.url);
    const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent);

    await expect.poll(focused).toBe("Message"); // ready to type
    await page.keyboard.type("What is the capital of Ireland?");
    await page.keyboard.press("Shift+Enter");
    expect(await messageField(page).inputValue()).toBe("What is the capital of Ireland?\n");
    await page.keyboard.press("Backspace");
    await page.keyboard.press("Enter");
    await lastAnswer(page);
    expect(await focused()).toBe("Message");

    await tabTo("Edit this message");
    await page.keyboard.press("Enter");
    await expect.poll(focused).toBe("Edit your message");
    await page.keyboard.press("Escape");
    await expect.poll(focused).toBe("Edit this message");

    await tabTo("Settings");
    await page.keyboard.press("Enter");
    await page
      .getByRole("complementary", { name: "Settings" })
      .waitFor({ state: "attached" })
      .catch(() => undefined);
    await tabTo("Answer");
    await page.keyboard.press("ArrowRight");
    await expect.poll(focused).toBe("JSON");
    await close();

    async function tabTo(label: string): Promise<void> {
      for (let presses = 0; presses < 60; presses++) {
        if ((await focused()) === label) return;
        await page.keyboard.press("Tab");
      }
      throw new Error(`Tab does not lead to ${label}`);
    }
  });

  test("the first Tab stop of the page skips to the message", async () => {
    const { page, close } = await openPage(browser, server.url);
    await page.locator("body").evaluate((body) => {
      (document.activeElement as HTMLElement | null)?.blur();
      body.tabIndex = -1;
      body.focus();
    });
    await page.keyboard.press("Tab");
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to the message field");
    await page.keyboard.press("Enter");

    await expect.poll(() => messageField(page).evaluate((field) => field === document.activeElement)).toBe(true);
    await close();
  });

  test("what is heard: that the model answers, then the answer", async () => {
    const { page, close } = await openPage(browser, server.url);
    await send(page, "What is the capital of Ireland?");

    await page.getByRole("status").filter({ hasText: "Answer: The capital of Ireland is Dublin." }).waitFor({ state: "attached" });
    await close();
  });
});

describe("the network", () => {
  test("is the server alone, and at rest the page asks it nothing", async () => {
    const { page, requests, strayRequests, faults, close } = await openPage(browser, server.url);
    await page.locator(".model.ready").waitFor();
    await page.waitForLoadState("networkidle");
    const asked = requests.length;
    await page.waitForTimeout(4000);

    expect(requests.length).toBe(asked);
    expect(requests.filter((path) => path.startsWith("/v1"))).toEqual(["/v1/models"]);
    expect([strayRequests, faults]).toEqual([[], []]);
    await close();
  });

  test("may be behind a proxy with a login of its own: what the page asks carries its cookie", async () => {
    const context = await browser.newContext();
    await context.addCookies([{ name: "login", value: "of-the-proxy", url: server.url }]);
    const page = await context.newPage();
    const asked = page.waitForRequest("**/v1/models");
    await page.goto(server.url);

    expect((await (await asked).allHeaders())["cookie"]).toBe("login=of-the-proxy");
    await context.close();
  });

  test("a whole visit is small", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    const session = await context.newCDPSession(page);
    await session.send("Network.enable");
    let bytes = 0;
    session.on("Network.loadingFinished", ({ encodedDataLength }) => void (bytes += encodedDataLength));
    await page.goto(server.url, { waitUntil: "networkidle" });

    expect(bytes).toBeGreaterThan(10_000);
    expect(bytes).toBeLessThan(300_000);
    await context.close();
  });

  test("an injected script or style does not run", async () => {
    const { page, faults, close } = await openPage(browser, server.url);
    const violated = () => page.evaluate(() => (window as unknown as { violated: string[] }).violated.join());
    await page.evaluate(() => {
      const names: string[] = [];
      Object.assign(window, { violated: names });
      document.addEventListener("securitypolicyviolation", ({ effectiveDirective }) => names.push(effectiveDirective));
      const script = document.createElement("script");
      try {
        script.textContent = "window.hit = 1";
      } catch {
        names.push("refused by trusted types");
      }
      document.head.append(script);
      const style = document.createElement("style");
      style.textContent = "body { display: none }";
      document.head.append(style);
    });

    await expect.poll(violated).toMatch(/style-src/);
    await expect.poll(violated).toMatch(/trusted|script/);
    expect(await page.evaluate(() => "hit" in window)).toBe(false);
    expect(await page.locator("body").isVisible()).toBe(true);
    await expect.poll(() => faults.length).toBeGreaterThan(0); // these tests would notice
    await close();
  });
});

test("--no-web serves the API alone", async () => {
  const bare = await startServer(["--no-web"]);

  expect((await fetch(bare.url)).status).toBe(404);
  expect((await fetch(`${bare.url}/v1/models`)).status).toBe(200);
  await bare.stop();
});
