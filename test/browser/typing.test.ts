// Writing: input methods, numbers, what is pasted and dropped, scripts from right to left, and browsers that keep nothing.

import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { beforeEach, describe, expect, test } from "vitest";
import { modelFolder } from "../e2e/start-server.ts";
import { openBehindFront } from "./behind-front.ts";
import { keptRecords, lastAnswer, messageField, send } from "./browser.ts";
import { endless, type Front, streamed } from "./front.ts";

let front: Front;
let page: Page;

openBehindFront(
  (readyFront, opened) => {
    front = readyFront;
    page = opened.page;
  },
  { answer: streamed(["Words."], "done") },
);

const picture = readFileSync(`${modelFolder}/samples/01_describe.png`);

/** As a person pastes what an office program or a folder copied. */
const paste = (text: string, fileName: string) =>
  messageField(page).evaluate(
    (field, { text, fileName, data }) => {
      const clipboardData = new DataTransfer();
      if (text !== "") clipboardData.items.add(text, "text/plain");
      clipboardData.items.add(new File([Uint8Array.from(atob(data), (char) => char.charCodeAt(0))], fileName, { type: "image/png" }));
      return field.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
    },
    { text, fileName, data: picture.toString("base64") },
  );

describe("an input method", () => {
  test.each([
    ["Chrome and Firefox", { isComposing: true }],
    ["Safari, which ends the composition before Enter", { keyCode: 229 }],
  ])("keeps its Enter and Escape to itself: %s", async (_, fields) => {
    front.answerWith(() => undefined);
    await messageField(page).fill("かんじ");
    const press = (key: string) =>
      page.evaluate(
        ([key, fields]) =>
          document.activeElement!.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...fields })),
        [key, fields] as const,
      );
    await press("Enter");
    await page.waitForTimeout(100);
    expect(await page.locator(".turn").count()).toBe(0);

    await page.keyboard.press("Enter");
    await page.locator(".turn.answer").waitFor();
    await messageField(page).focus();
    await press("Escape");
    await page.waitForTimeout(100);
    expect(await page.getByRole("button", { name: "Stop the answer" }).count()).toBe(1);
    await page.keyboard.press("Escape");
    await lastAnswer(page);
  });
});

test.each(["0.75", "1.05", "0.05"])("the number %s can be typed", async (number) => {
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByLabel("Temperature").focus();
  await page.keyboard.type(number);
  const sent = page.waitForRequest("**/v1/chat/completions");
  await send(page, "Hello");

  expect((await sent).postDataJSON()).toMatchObject({ temperature: Number(number) });
});

describe("pasted together", () => {
  test("text and its picture, as of a table, are both there: the text is left to the browser", async () => {
    expect(await paste("a table\tof cells", "image.png")).toBe(true);

    await page.getByRole("button", { name: "Remove image.png" }).waitFor();
    await page.waitForTimeout(100);
    expect(await page.locator(".attachments li").count()).toBe(1);
  });

  test("a file and its name are the file", async () => {
    expect(await paste("/home/me/stars.png", "stars.png")).toBe(false);

    await page.getByRole("button", { name: "Remove stars.png" }).waitFor();
  });
});

test("two pictures of one name are two, however coarse the clock of the browser is", async () => {
  await page.evaluate(() => (performance.now = () => 1));
  const same = { name: "image.png", mimeType: "image/png", buffer: picture };
  await page.locator("input[type=file]").setInputFiles([same, same]);
  await page.getByRole("button", { name: "Remove image.png" }).nth(1).click();

  await expect.poll(() => page.locator(".attachments li").count()).toBe(1);
});

describe("a message waits for the pictures that are still being read", () => {
  beforeEach(async () => {
    await page.evaluate(() => {
      const read = FileReader.prototype.readAsDataURL;
      FileReader.prototype.readAsDataURL = function (file) {
        Object.assign(window, { goOn: () => read.call(this, file) });
      };
    });
    await page.locator("input[type=file]").setInputFiles(`${modelFolder}/samples/01_describe.png`);
    await send(page, "Describe the image.");
    await page.getByText("Reading", { exact: true }).waitFor();
    expect(await page.locator(".turn").count()).toBe(0);
  });
  const goOn = () => page.evaluate(() => (window as unknown as { goOn(): void }).goOn());

  test("and is then sent with them", async () => {
    const sent = page.waitForRequest("**/v1/chat/completions");
    await goOn();

    expect(JSON.stringify((await sent).postDataJSON())).toContain("image_url");
    await lastAnswer(page);
    expect(await messageField(page).inputValue()).toBe("");
  });

  test("but not where its writer goes on writing", async () => {
    await messageField(page).press("?");
    await goOn();
    await page.getByRole("button", { name: "Remove 01_describe.png" }).waitFor();

    expect(await page.locator(".turn").count()).toBe(0);
    expect(await messageField(page).inputValue()).toBe("Describe the image.?");
  });
});

test("what is written from right to left is shown so, and long words are broken", async () => {
  const arabic = "مرحبا بالعالم, ERNIE!";
  front.answerWith(streamed([`${arabic}\n\n- ${arabic}\n\n# ${arabic}`], "done"));
  await page.setViewportSize({ width: 390, height: 844 });
  await page
    .locator("input[type=file]")
    .setInputFiles({ name: `${"long".repeat(50)}.png`, mimeType: "image/png", buffer: Buffer.from("none") });
  await page.locator(".file-name").waitFor();
  await send(page, `${arabic}\n${"w".repeat(200)}`);
  const answer = await lastAnswer(page);

  const gapsAtEnd = await answer.locator(".markdown :is(p, li, h3)").evaluateAll((elements) =>
    elements.map((element) => {
      const range = document.createRange();
      range.selectNodeContents(element);
      return element.getBoundingClientRect().right - range.getBoundingClientRect().right;
    }),
  );
  expect(await answer.locator(".markdown ul").evaluate((element) => getComputedStyle(element).direction)).toBe("rtl"); // dots on the right
  expect(gapsAtEnd).toHaveLength(3);
  for (const gap of gapsAtEnd) expect(gap).toBeLessThan(2);
  expect(await page.locator(".bubble").evaluate((element) => getComputedStyle(element).unicodeBidi)).toBe("plaintext");
  expect(await page.locator(".transcript").evaluate((element) => element.scrollWidth - element.clientWidth)).toBe(0);
});

test("an answer in JSON is shown with its own numbers", async () => {
  const text = '{"id":12345678901234567890,"price":1.50,"tags":["a, b",{}],"none":[]}';
  front.answerWith(streamed([text], "done"));
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("tab", { name: "JSON" }).click();
  await page.getByRole("radio", { name: "Any JSON object" }).check();
  await send(page, "Hello");

  expect(await (await lastAnswer(page)).locator(".json-answer").textContent()).toBe(
    '{\n  "id": 12345678901234567890,\n  "price": 1.50,\n  "tags": [\n    "a, b",\n    {}\n  ],\n  "none": []\n}',
  );
});

test("scrolling up a little while an answer is written is enough to stay there", async () => {
  front.answerWith(endless("A line.\n\n"));
  await send(page, "Tell me a story.");
  const transcript = page.locator(".transcript");
  await expect.poll(() => transcript.evaluate((element) => element.scrollTop)).toBeGreaterThan(100);
  await transcript.hover();
  await page.mouse.wheel(0, -30);

  await page.getByRole("button", { name: "Latest" }).waitFor();
  await page.keyboard.press("Escape");
});

test("a finger on the screen holds the text still while an answer is written", async () => {
  front.answerWith(endless("A line.\n\n"));
  await send(page, "Tell me a story.");
  const transcript = page.locator(".transcript");
  const top = () => transcript.evaluate((element) => element.scrollTop);
  await expect.poll(top).toBeGreaterThan(100);
  await transcript.dispatchEvent("touchstart");
  const held = await top();
  await page.waitForTimeout(300);
  expect(await top()).toBe(held);
  await transcript.dispatchEvent("touchend");

  await expect.poll(top).toBeGreaterThan(held); // it was not moved
  await page.keyboard.press("Escape");
});

describe("a browser that keeps", () => {
  test("nothing at all shows the page, answers, and says so", async () => {
    await page.addInitScript(() => {
      for (const name of ["localStorage", "sessionStorage", "indexedDB"]) {
        Object.defineProperty(window, name, {
          get() {
            throw new DOMException("denied", "SecurityError");
          },
        });
      }
    });
    await page.reload();
    await send(page, "Hello");

    expect(await (await lastAnswer(page)).locator(".markdown").textContent()).toBe("Words.");
    await page.getByText("This browser saves nothing: your conversations are lost when you close this tab.").waitFor();
  });

  test("no more than it has says so, and answers", async () => {
    const session = await page.context().newCDPSession(page);
    await session.send("Storage.overrideQuotaForOrigin", { origin: front.url, quotaSize: 1 });
    await send(page, "Hello");

    expect(await (await lastAnswer(page)).locator(".markdown").textContent()).toBe("Words.");
    const warning = page.getByText(/This conversation could not be saved/);
    await warning.waitFor();

    await session.send("Storage.overrideQuotaForOrigin", { origin: front.url });
    await send(page, "Hello again");
    await warning.waitFor({ state: "detached" });
  });

  test("conversations again, after the user cleared them away", async () => {
    await send(page, "Hello");
    await lastAnswer(page);
    const session = await page.context().newCDPSession(page);
    await session.send("Storage.clearDataForOrigin", { origin: front.url, storageTypes: "all" }); // closes the database
    await send(page, "And again");
    await page.locator(".answer-foot").nth(1).waitFor();
    const keptAnswers = async () => JSON.stringify(await keptRecords(page)).split("Words.").length - 1;
    await expect.poll(keptAnswers).toBe(2); // a page that closes has no time to make a database
    await page.reload();

    await page.getByRole("navigation").getByRole("button", { name: "Hello", exact: true }).click();
    await expect.poll(() => page.locator(".turn .markdown").allTextContents()).toEqual(["Words.", "Words."]);
  });

  test("what an unfinished answer said, when the page is left", async () => {
    front.answerWith(streamed(["The first words"], "open"));
    await send(page, "Hello");
    await page.locator(".turn.answer .markdown").waitFor();
    await page.reload();

    expect(await page.locator(".turn.answer .markdown").textContent()).toBe("The first words");
  });

  test("an answer that has just ended, however slow the database is when the page is left", async () => {
    front.answerWith(streamed(["The first words"], "open"));
    await send(page, "Hello");
    await page.locator(".turn.answer .markdown").waitFor();
    await page.evaluate(() => {
      const { get } = IDBObjectStore.prototype;
      IDBObjectStore.prototype.get = function (key) {
        const readAgain = () => get.call(this, key).addEventListener("success", readAgain);
        readAgain(); // the transaction stays open
        return new EventTarget() as IDBRequest;
      };
    });
    front.breakOff();
    await lastAnswer(page);
    await page.reload();

    expect(await page.locator(".turn.answer .markdown").textContent()).toBe("The first words");
  });
});
