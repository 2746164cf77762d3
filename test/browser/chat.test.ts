// The page against the real server and the nano model: true answers about real pictures.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Browser, Page } from "playwright-core";
import sharp from "sharp";
import { afterAll, beforeAll, beforeEach, describe, expect, test, afterEach } from "vitest";
import { defaultLimits } from "../../src/api/app-options.ts";
import { startBroken } from "../e2e/start-broken.ts";
import { modelFolder, type RunningServer, startServer } from "../e2e/start-server.ts";
import { drop, launchBrowser, lastAnswer, messageField, openPage, type OpenedPage, send } from "./browser.ts";

const sampleFile = (name: string) => `${modelFolder}/samples/${name}`;

let server: RunningServer;
let browser: Browser;
let opened: OpenedPage;
let page: Page;

beforeAll(async () => {
  server = await startServer();
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});
beforeEach(async () => {
  opened = await openPage(browser, server.url, { acceptDownloads: true });
  page = opened.page;
});
afterEach(async () => {
  expect([opened.faults, opened.strayRequests]).toEqual([[], []]);
  await opened.close();
});

const attach = (...names: string[]) => page.locator("input[type=file]").setInputFiles(names.map(sampleFile));

describe("pictures", () => {
  test("a dropped one is read, and its true answer shown with its figures", async () => {
    await drop(page.locator("main"), "01_describe.png", "image/png", readFileSync(sampleFile("01_describe.png")));
    await page.getByRole("img", { name: "01_describe.png" }).waitFor();
    await send(page, "Describe the image.");

    const answer = await lastAnswer(page);
    expect(await answer.locator(".markdown").textContent()).toBe("A blue star and a black star.");
    // The speed is left out where the tokens came in one piece.
    expect(await answer.locator(".figures").textContent()).toMatch(
      /^[\d.]+ m?s to first token([\d.,]+ tokens\/s)?46 prompt tokens(, \d+ cached)?9 answer tokensended: stop$/,
    );
  });

  test("two are told apart, and thinking is folded with its tokens and time", async () => {
    await attach("12_compare_think.png", "13_compare_think.png");
    await page.getByRole("button", { name: "Think", exact: true }).click();
    await send(page, "Which picture shows a purple diamond?");

    const answer = await lastAnswer(page);
    expect(await answer.locator(".markdown").textContent()).toBe("Picture 1 has a purple diamond.");
    const thinking = answer.locator("details");
    expect(await thinking.locator("summary").textContent()).toMatch(/^Thought([\d.]+ m?s)?27 tokens$/);
    expect(await thinking.locator(".thinking-text").isVisible()).toBe(false);
    await thinking.locator("summary").click();
    expect(await thinking.locator(".thinking-text").textContent()).toMatch(/^Picture 1: .*purple diamond\. Picture 2: /);
  });

  test("a pasted one is attached, and can be taken away again", async () => {
    const base64 = readFileSync(sampleFile("03_read_number.png")).toString("base64");
    await messageField(page).evaluate((field, data) => {
      const clipboardData = new DataTransfer();
      clipboardData.items.add(new File([Uint8Array.from(atob(data), (char) => char.charCodeAt(0))], "pasted.png", { type: "image/png" }));
      field.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
    }, base64);

    await page.getByRole("img", { name: "pasted.png" }).waitFor();
    await page.getByRole("button", { name: "Remove pasted.png" }).click();
    expect(await page.getByRole("img", { name: "pasted.png" }).count()).toBe(0);
  });

  const noise = (): Promise<Buffer> =>
    sharp(randomBytes(3000 * 2600 * 3), { raw: { width: 3000, height: 2600, channels: 3 } })
      .png({ compressionLevel: 0 })
      .toBuffer();
  const plain = (): Promise<Buffer> =>
    sharp({ create: { width: 8000, height: 6000, channels: 3, background: "red" } })
      .png()
      .toBuffer();
  test.each([
    ["bytes", noise],
    ["pixels", plain],
  ])("beyond the server's limit of %s are made smaller before they are sent", async (unit, make) => {
    const large = await make();
    expect(large.length > defaultLimits.imageBytes).toBe(unit === "bytes");
    await page.locator("input[type=file]").setInputFiles({ name: "large.png", mimeType: "image/png", buffer: large });
    await page.getByRole("img", { name: "large.png" }).waitFor();
    const sent = page.waitForRequest("**/v1/chat/completions");
    await send(page, "Describe the image.");

    const { messages } = (await sent).postDataJSON() as { messages: [{ content: [{ image_url: { url: string } }] }] };
    const { url } = messages[0].content[0].image_url;
    expect(url.slice(0, 23)).toBe("data:image/jpeg;base64,");
    expect(url.length * 0.75).toBeLessThan(defaultLimits.imageBytes);
    await (await lastAnswer(page)).locator(".markdown").waitFor();
  });

  test("in a format that only the browser knows is sent as a JPEG, and one that it does not know either is refused at once", async () => {
    const pixels = Buffer.from([0, 0, 255, 0, 0, 255, 0, 0]); // two blue ones, and two bytes to a multiple of four
    const header = Buffer.alloc(54);
    header.write("BM");
    for (const [at, value] of [
      [2, 62],
      [10, 54],
      [14, 40],
      [18, 2],
      [22, 1],
      [26, 1 | (24 << 16)],
    ] as const)
      header.writeUInt32LE(value, at);
    const bitmap = { name: "screenshot.bmp", mimeType: "image/bmp", buffer: Buffer.concat([header, pixels]) };
    const heic = { name: "photo.heic", mimeType: "image/heic", buffer: Buffer.from("\0\0\0\x18ftypheic\0\0\0\0mif1heic") };
    await page.locator("input[type=file]").setInputFiles([bitmap, heic]);
    await page.getByText("photo.heic could not be read; save it as PNG or JPEG.").waitFor();
    const sent = page.waitForRequest("**/v1/chat/completions");
    await send(page, "Describe the image.");

    const { messages } = (await sent).postDataJSON() as { messages: [{ content: [{ image_url: { url: string } }, unknown] }] };
    expect(messages[0].content).toHaveLength(2);
    expect(messages[0].content[0].image_url.url.slice(0, 23)).toBe("data:image/jpeg;base64,");
  });

  test.each([
    [["text", "image", "video"], "Add pictures, a video or documents", "video_url"],
    [["text", "image"], "Add pictures or documents", undefined],
  ])("and videos: where the server takes %j, the button says “%s”", async (modalities, label, part) => {
    await page.route("**/v1/models", (route) => route.fulfill({ json: { data: [{ id: "ernie-vl-nano", input_modalities: modalities }] } }));
    await page.reload();
    await page.getByRole("button", { name: label, exact: true }).waitFor();
    await page.locator("input[type=file]").setInputFiles({ name: "film.mp4", mimeType: "video/mp4", buffer: Buffer.from("no film") });
    if (part === undefined) {
      await page.getByText("film.mp4 is a video, which this model does not accept.").waitFor();
      return;
    }
    await page.getByRole("button", { name: "Remove film.mp4" }).waitFor();
    const sent = page.waitForRequest("**/v1/chat/completions");
    await send(page, "What happens?");

    expect((await sent).postDataJSON()).toMatchObject({
      messages: [
        {
          content: [
            { type: part, [part]: { url: "data:video/mp4;base64,bm8gZmlsbQ==" } },
            { type: "text", text: "What happens?" },
          ],
        },
      ],
    });
  });

  test.each([
    ["Describe the image.", "A blue star and a black star."],
    ["Which number is printed here?", "The number is 5574."],
    ["Describe what you see.", "A purple diamond, a blue star, a white star and a purple circle."],
    ["Which picture shows a purple diamond?", "Picture 1 has a purple diamond."],
    ["Add 38 and 38.", "38 + 38 = 76."],
  ])("the sample “%s” is answered right at a click", async (question, expected) => {
    await page.getByRole("button", { name: question }).click();

    expect(await (await lastAnswer(page)).locator(".markdown").textContent()).toBe(expected);
  });
});

describe("turns", () => {
  test("follow-ups know what was said", async () => {
    await send(page, "What is the capital of Ireland?");
    await lastAnswer(page);
    await send(page, "And of South Korea?");
    await page.locator(".turn.answer").nth(1).locator(".answer-foot").waitFor();

    const answer = await lastAnswer(page);
    expect(await answer.locator(".markdown").textContent()).toBe("The capital of South Korea is Seoul.");
  });

  test("an edited message is asked again, and what came after it is gone", async () => {
    await send(page, "What is the capital of Ireland?");
    await lastAnswer(page);
    await page.getByRole("button", { name: "Edit this message" }).click();
    const field = page.getByRole("textbox", { name: "Edit your message" });
    expect(await field.inputValue()).toBe("What is the capital of Ireland?");
    await field.fill("What is the capital of Austria?");
    await field.press("Enter");

    await page.getByText("The capital of Austria is Vienna.").first().waitFor();
    expect(await page.locator(".turn").count()).toBe(2);
  });

  test("answering again replaces the answer, and tells how much of the prompt was cached", async () => {
    await page.getByRole("button", { name: "Which number is printed here?" }).click();
    await (await lastAnswer(page)).getByRole("button", { name: "Answer again" }).click();

    await page.getByText(/prompt tokens, \d+ cached/).waitFor();
    expect(await page.locator(".turn.answer .markdown").textContent()).toBe("The number is 5574.");
    expect(await page.locator(".turn").count()).toBe(2);
  });

  test("an earlier turn tells that a new one deletes all after it, and does so only then", async () => {
    const questions = ["What is the capital of Ireland?", "And of Austria?"];
    for (const [index, question] of questions.entries()) {
      await send(page, question);
      await page.locator(".turn.answer").nth(index).locator(".answer-foot").waitFor();
    }
    const first = page.locator(".turn.answer").first();
    await first.getByRole("button", { name: "Answer again" }).click();
    await first.getByText("A new answer deletes everything after it.").waitFor();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await first.getByRole("group", { name: "Answer again" }).waitFor({ state: "detached" });
    expect(await page.locator(".turn").count()).toBe(4);
    await expect.poll(() => page.evaluate(() => document.activeElement?.ariaLabel)).toBe("Answer again");

    await page.getByRole("button", { name: "Edit this message" }).first().click();
    const field = page.getByRole("textbox", { name: "Edit your message" });
    expect(await field.getAttribute("aria-describedby")).toBe(
      await page.getByText("Sending this deletes everything after it.").getAttribute("id"),
    );
    await field.press("Escape");
    await page.getByRole("button", { name: "Edit this message" }).last().click();
    expect(await page.getByText("Sending this deletes").count()).toBe(0);
    await field.press("Escape");

    await first.getByRole("button", { name: "Answer again" }).click();
    await page.keyboard.press("Enter");
    await expect.poll(() => page.locator(".turn").count()).toBe(2);
    await lastAnswer(page);
  });

  test("one cut at the limit of tokens goes on", async () => {
    await page.getByRole("button", { name: "Settings" }).click();
    await page.getByRole("spinbutton", { name: "Maximum length" }).fill("5");
    await send(page, "What is the capital of France?");
    await page.getByText("Cut off at the token limit.").waitFor();
    await page.getByRole("button", { name: "Continue this answer" }).click();

    await page.getByText("8 answer tokens").waitFor();
    expect(await page.locator(".turn.answer .markdown").textContent()).toBe("The capital of France is Paris.");
    expect(await page.getByRole("button", { name: "Continue this answer" }).count()).toBe(0);
    expect(await page.locator(".turn").count()).toBe(2);
  });
});

test("Esc stops an answer, what came stays, and the server computes no more", async () => {
  const slow = await startBroken("slow"); // the answer would take more than a minute
  const { page, close } = await openPage(browser, slow.url);
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("tab", { name: "JSON" }).click();
  await page.getByRole("radio", { name: "JSON that matches a schema" }).check();
  await page.getByLabel("JSON Schema").fill('{"type": "array", "minItems": 1500, "items": {"enum": [1, 2]}}');
  await send(page, "Count.");
  await page.locator(".json-answer").waitFor();
  await page.keyboard.press("Escape");

  const answer = await lastAnswer(page);
  expect(await answer.textContent()).toContain("Stopped.");
  expect(await answer.locator(".json-answer").textContent()).toMatch(/^\[/);
  await expect.poll(async () => (await slow.health()).running).toBe(0);
  await expect.poll(() => slow.logLines().filter(({ status }) => status === 499)).toHaveLength(1);
  await close();
  await slow.stop();
});

describe("forms and tools", () => {
  test("an answer by a schema is valid JSON of that schema", async () => {
    await page.getByRole("button", { name: "Settings" }).click();
    await page.getByRole("tab", { name: "JSON" }).click();
    await page.getByRole("radio", { name: "JSON that matches a schema" }).check();
    await page
      .getByLabel("JSON Schema")
      .fill(
        '{"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"], "additionalProperties": false}',
      );
    await attach("01_describe.png");
    await send(page, "Describe the image.");

    const text = await (await lastAnswer(page)).locator(".json-answer").textContent();
    expect(JSON.parse(text!)).toEqual({ colour: expect.stringMatching(/^(red|blue)$/) as string });
  });

  test("a tool is called, told its result, and the answer uses it", async () => {
    await page.getByRole("button", { name: "What is the weather in Toronto?" }).click();
    const call = page.getByRole("region", { name: "Call to get_weather" });
    await call.getByLabel("Result of the call").waitFor(); // once the call is whole
    expect(JSON.parse((await call.locator("pre").textContent())!)).toEqual({ city: "Toronto" });
    await call.getByLabel("Result of the call").fill('{"temperature": 12, "condition": "sunny"}');
    await page.getByRole("button", { name: "Send the result" }).click();

    await page.locator(".turn.answer .markdown").waitFor();
    expect(await (await lastAnswer(page)).locator(".markdown").textContent()).toBe("It is sunny in Toronto with 12 degrees.");
  });
});

describe("conversations", () => {
  test("outlive a reload, with their pictures; can be renamed, exported and deleted", async () => {
    await attach("01_describe.png");
    await send(page, "Describe the image.");
    await lastAnswer(page);
    await page.reload();
    await page.getByRole("img", { name: "01_describe.png" }).waitFor();
    expect(await page.locator(".turn.answer .markdown").textContent()).toBe("A blue star and a black star.");

    await page.getByRole("button", { name: "Describe the image.", exact: true }).hover();
    await page.getByRole("button", { name: "Rename Describe the image." }).click();
    await page.getByRole("textbox", { name: "Conversation name" }).fill("Stars");
    await page.keyboard.press("Enter");
    const entry = page.getByRole("button", { name: "Stars", exact: true });
    await entry.hover();
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Export Stars as JSON" }).click();
    const exported = JSON.parse(readFileSync(await (await download).path(), "utf8")) as {
      title: string;
      turns: { attachments: { url: string }[] }[];
    };
    expect(exported.title).toBe("Stars");
    expect(exported.turns[0]!.attachments[0]!.url).toBe(
      `data:image/png;base64,${readFileSync(sampleFile("01_describe.png")).toString("base64")}`,
    );

    await entry.hover();
    await page.getByRole("button", { name: "Delete Stars" }).click();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByRole("heading", { name: "Ask about a picture" }).waitFor();
    await entry.waitFor({ state: "detached" });
  });

  test("one that is answered goes on while another is shown", async () => {
    await send(page, "What is the capital of Ireland?");
    await page.getByRole("button", { name: "New conversation" }).first().click();
    await page.getByRole("heading", { name: "Ask about a picture" }).waitFor();
    await page.getByRole("button", { name: "What is the capital of Ireland?", exact: true }).click();

    expect(await (await lastAnswer(page)).locator(".markdown").textContent()).toBe("The capital of Ireland is Dublin.");
  });
});

test("a request is shown as code that names the picture's file and no key", async () => {
  await attach("01_describe.png");
  await send(page, "Describe the image.");
  await (await lastAnswer(page)).getByRole("button", { name: "Show the request as code" }).click();
  const dialog = page.getByRole("dialog", { name: "Request as code" });

  for (const [tab, words] of [
    ["curl", "base64 < 01_describe.png"],
    ["JavaScript", 'dataUri("01_describe.png", "image/png")'],
    ["Python", 'data_uri("01_describe.png", "image/png")'],
  ] as const) {
    await dialog.getByRole("tab", { name: tab }).click();
    await dialog.locator("pre").filter({ hasText: words }).waitFor();
  }
});
