// What the page says when something goes wrong, and that nothing typed is lost.

import { writeFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { beforeEach, describe, expect, test } from "vitest";
import { openBehindFront } from "./behind-front.ts";
import { lastAnswer, messageField, type OpenedPage, send } from "./browser.ts";
import { type Front, refused, streamed } from "./front.ts";

const apiKey = "only-for-this-test";

let front: Front;
let page: Page;
let opened: OpenedPage;

openBehindFront(
  (readyFront, openedPage) => {
    front = readyFront;
    opened = openedPage;
    page = openedPage.page;
  },
  { apiKey },
);

async function useKey(key: string): Promise<void> {
  await page.getByRole("button", { name: "Enter a key" }).first().click();
  await page.getByLabel("API key").fill(key);
  await page.getByRole("button", { name: "Use this key" }).click();
}

/** What is wrong with what can be done about it. */
const problem = () => page.locator(".problem, .banner").filter({ visible: true }).last();
const alert = () => page.getByRole("alert").filter({ visible: true }).last();

describe("the key", () => {
  test("is asked for, a wrong one is refused, the right one works, and none is in an address", async () => {
    await page.getByText("This server requires an API key").waitFor();
    await useKey("wrong");
    await page.getByText("Wrong API key").waitFor();
    expect(await page.getByLabel("API key").evaluate((field) => field === document.activeElement)).toBe(false); // the person clicked the button
    await page.getByLabel("API key").fill(apiKey);
    await page.getByRole("button", { name: "Use this key" }).click();
    await page.locator(".model.ready").waitFor();
    await send(page, "What is the capital of Ireland?");

    expect(await (await lastAnswer(page)).locator(".markdown").textContent()).toBe("The capital of Ireland is Dublin.");
    expect(opened.requests.join()).not.toContain(apiKey);
    expect(page.url()).not.toContain(apiKey);
  });

  test("is forgotten with the tab, unless it is to be kept", async () => {
    const stored = () => page.evaluate(() => [sessionStorage.getItem("ernie-vl.key"), localStorage.getItem("ernie-vl.key")]);
    await useKey(apiKey);
    await page.locator(".model.ready").waitFor();
    expect(await stored()).toEqual([apiKey, null]);
    await page.getByLabel("Remember it in this browser").check();
    await page.getByRole("button", { name: "Use this key" }).click();

    expect(await stored()).toEqual([null, apiKey]);
  });

  test("that is missing when a message is sent costs nothing typed", async () => {
    await send(page, "What is the capital of Ireland?");
    await alert().getByText("This server requires an API key").waitFor();
    await problem().getByRole("button", { name: "Enter a key" }).click();
    await expect.poll(() => page.getByLabel("API key").evaluate((field) => field === document.activeElement)).toBe(true);
    await page.keyboard.type(apiKey);
    await page.keyboard.press("Enter");
    await page.locator(".model.ready").waitFor();
    await page.getByRole("button", { name: "Try again" }).click();

    await page.getByText("The capital of Ireland is Dublin.").first().waitFor();
  });
});

describe("with the key", () => {
  beforeEach(async () => {
    await useKey(apiKey);
    await page.locator(".model.ready").waitFor();
  });

  test("a server that is away is said to be, and works when it is back", async () => {
    await front.close();
    await send(page, "What is the capital of Ireland?");
    await alert().getByText("Cannot reach the server").waitFor();
    expect(await page.locator(".bubble").textContent()).toBe("What is the capital of Ireland?");
    await front.reopen();
    await page.getByRole("button", { name: "Try again" }).click();

    await page.getByText("The capital of Ireland is Dublin.").first().waitFor();
  });

  test("a server that is away at the start is said to be, and found when it is back", async () => {
    await page.route("**/v1/models", (route) => route.abort());
    await page.reload();
    await alert().getByText("Cannot reach the server").waitFor();
    await page.unroute("**/v1/models");

    await page.locator(".model.ready").waitFor();
  });

  test("a picture that is none is refused in the server's words, and can be taken out of the message", async () => {
    const folder = mkdtempSync(join(tmpdir(), "pictures-"));
    writeFileSync(join(folder, "broken.png"), "no picture at all");
    await page.locator("input[type=file]").setInputFiles(join(folder, "broken.png"));
    await send(page, "What is the capital of Ireland?");
    await alert().getByText("The picture was rejected").waitFor();
    expect(await alert().textContent()).toContain("expected an image file");
    await page.getByRole("button", { name: "Edit this message" }).click();
    await page.getByRole("button", { name: "Remove broken.png" }).click();
    await page.keyboard.press("Enter");

    await page.getByText("The capital of Ireland is Dublin.").first().waitFor();
    rmSync(folder, { recursive: true });
  });

  test("a PDF that is broken is refused in the server's words", async () => {
    await page.locator("input[type=file]").setInputFiles({ name: "a.pdf", mimeType: "application/pdf", buffer: Buffer.from("%PDF-1.7") });
    await send(page, "What is the capital of Ireland?");

    await alert().getByText("The document cannot be opened").waitFor();
    expect(await alert().textContent()).toContain("expected an intact PDF");
  });

  test("a file that the server does not take is not attached", async () => {
    await page.locator("input[type=file]").setInputFiles({ name: "a.zip", mimeType: "application/zip", buffer: Buffer.from("PK\0") });

    await alert()
      .getByText(/a\.zip is not a picture,( a video,)? a PDF or a UTF-8 text file\.$/)
      .waitFor();
    await page.getByRole("button", { name: "Read Which number is printed here?" }).click();
    await lastAnswer(page);
    expect(await alert().count()).toBe(0); // the answer has nothing to do with it
  });

  test("JSON with a mistake is not sent: the place is told, the text stays", async () => {
    await page.getByRole("tab", { name: "JSON" }).click();
    await page.getByRole("radio", { name: "JSON that matches a schema" }).check();
    await page.getByLabel("JSON Schema").fill('{\n  "type": "object",\n}');
    await page.getByRole("button", { name: "line 3, column 1" }).click();
    expect(await page.getByLabel("JSON Schema").evaluate((field: HTMLTextAreaElement) => field.selectionStart)).toBe(22);
    await send(page, "Describe the image.");

    await alert()
      .getByText(/Not sent: the JSON schema has an error \(line 3, column 1\)/)
      .waitFor();
    expect(await messageField(page).inputValue()).toBe("Describe the image.");
    expect(await page.locator(".turn").count()).toBe(0);
  });

  test("a schema that the server cannot enforce is refused in its words", async () => {
    await page.getByRole("tab", { name: "JSON" }).click();
    await page.getByRole("radio", { name: "JSON that matches a schema" }).check();
    await page.getByLabel("JSON Schema").fill('{"type": "string", "pattern": "("}');
    await send(page, "Describe the image.");

    await alert().getByText("The JSON schema was rejected").waitFor();
    expect(await alert().textContent()).toMatch(/expected \) at character 2/);
  });

  test("a stream that breaks keeps what came", async () => {
    front.answerWith(streamed(["The capital ", "of Ireland"], "open"));
    await send(page, "What is the capital of Ireland?");
    await page.locator(".markdown", { hasText: /^The capital of Ireland$/ }).waitFor();
    front.breakOff();

    await alert().getByText("The answer was cut off").waitFor();
    expect(await page.locator(".turn.answer .markdown").textContent()).toBe("The capital of Ireland");
    front.answerWith(undefined);
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByText("The capital of Ireland is Dublin.").first().waitFor();
  });

  test("a server that fails while it answers is quoted", async () => {
    front.answerWith(
      streamed(["The capital"], { error: { message: "the engine stopped", type: "server_error", param: null, code: null } }),
    );
    await send(page, "What is the capital of Ireland?");

    await alert().getByText("The server failed while answering").waitFor();
    expect(await alert().textContent()).toContain("the engine stopped");
  });

  test("a full queue says when to come back", async () => {
    front.answerWith(refused(429, "the queue is full", { "retry-after-ms": "60000" }));
    await send(page, "What is the capital of Ireland?");

    await alert().getByText("The server is busy").waitFor();
    expect(await problem().getByRole("button").textContent()).toMatch(/Try again \(best in \d\d s\)/);
  });

  test("Esc stops an answer that has not begun", async () => {
    front.answerWith(() => undefined);
    await send(page, "What is the capital of Ireland?");
    await page.getByRole("button", { name: "Stop the answer" }).waitFor();
    await page.keyboard.press("Escape");

    expect(await (await lastAnswer(page)).textContent()).toContain("Stopped.");
  });

  test("what is half typed outlives a reload", async () => {
    await messageField(page).fill("half a question");
    await page.reload();

    expect(await messageField(page).inputValue()).toBe("half a question");
  });

  test("HTML and scripts in an answer stay text", async () => {
    const scripts = "<script>window.hit = 1</script><img src=x onerror='window.hit = 1'>";
    front.answerWith(streamed([`**bold** [link](javascript:window.hit=1) ${scripts}`, `\n\n${scripts}`], "done"));
    await send(page, "Be hostile.");
    const answer = (await lastAnswer(page)).locator(".markdown");

    expect(await answer.textContent()).toBe(`bold link ${scripts}${scripts}`);
    expect(await answer.locator("script, img, a").count()).toBe(0);
    expect(await answer.locator("strong").textContent()).toBe("bold");
    expect(await page.evaluate(() => "hit" in window)).toBe(false);
  });
});
