// What the browser keeps of a conversation: each file once, for as long as a turn has it.

import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { beforeEach, describe, expect, test } from "vitest";
import { modelFolder } from "../e2e/start-server.ts";
import { openBehindFront } from "./behind-front.ts";
import { keptRecords, lastAnswer, messageField, send } from "./browser.ts";
import { type Front, streamed } from "./front.ts";

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
const dataUri = `data:image/png;base64,${picture.toString("base64")}`;

/** Notes whether each record that the page writes has a picture in it. */
const noteWrites = () => {
  const { put } = IDBObjectStore.prototype;
  const written: boolean[] = [];
  Object.assign(window, { written });
  IDBObjectStore.prototype.put = function (record) {
    written.push(JSON.stringify(record).includes("data:image"));
    return put.call(this, record);
  };
};
beforeEach(() => page.evaluate(noteWrites));
const pictureWrites = () => page.evaluate(() => (window as unknown as { written: boolean[] }).written.filter(Boolean).length);

async function attach(tab: Page, name: string): Promise<void> {
  await tab.locator("input[type=file]").last().setInputFiles({ name, mimeType: "image/png", buffer: picture });
  await tab.getByRole("button", { name: `Remove ${name}` }).waitFor();
}

async function ask(tab: Page, question: string, ...names: string[]): Promise<void> {
  for (const name of names) await attach(tab, name);
  const count = await tab.locator(".turn").count();
  await send(tab, question);
  await tab
    .locator(".turn")
    .nth(count + 1)
    .locator(".answer-foot")
    .waitFor();
}

const records = () => keptRecords(page);

/** Rewrites the only conversation as the page kept it before files had records of their own. */
const toEarlierVersion = (url: string) =>
  new Promise((resolve) => {
    const opening = indexedDB.open("ernie-vl");
    opening.addEventListener("success", () => {
      const transaction = opening.result.transaction("conversations", "readwrite");
      const store = transaction.objectStore("conversations");
      const reading: IDBRequest<{ id: unknown; turns?: { attachments?: object[] }[] }[]> = store.getAll();
      reading.addEventListener("success", () => {
        const { turns, ...conversation } = reading.result.find(({ id }) => typeof id === "string")!;
        store.clear();
        store.put({
          ...conversation,
          turns: turns!.map((turn) =>
            turn.attachments ? { ...turn, attachments: turn.attachments.map((file) => ({ ...file, url })) } : turn,
          ),
        });
      });
      transaction.addEventListener("complete", () => {
        opening.result.close();
        resolve(undefined);
      });
    });
  });

const files = async () => (await records()).filter(({ id }) => Array.isArray(id));
/** Of each picture of the conversation, whether it is shown. */
const shown = (tab: Page) =>
  tab.locator(".pictures img").evaluateAll((images) => images.map((image) => (image as HTMLImageElement).naturalWidth > 0));

test("a picture is written once, however often its conversation is", async () => {
  await ask(page, "One?", "a.png");
  await ask(page, "Two?");
  await ask(page, "Three?", "b.png");

  await expect.poll(pictureWrites).toBe(2);
  expect((await files()).map(({ url }) => url)).toEqual([dataUri, dataUri]);
  await page.reload();
  await expect.poll(() => shown(page)).toEqual([true, true]);
});

test("a picture is kept until its message is replaced without it, or its conversation is deleted", async () => {
  await ask(page, "One?", "a.png", "b.png");
  await page.getByRole("button", { name: "Edit this message" }).click();
  await page.locator(".turn").getByRole("button", { name: "Remove a.png" }).click();
  await page.locator(".turn textarea").press("Enter");
  await lastAnswer(page);
  await expect.poll(async () => (await files()).length).toBe(1);
  await page.reload();
  await expect.poll(() => shown(page)).toEqual([true]);

  await page.getByRole("button", { name: "Delete One?" }).click();
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await page.locator(".entry").waitFor({ state: "detached" });
  expect(await records()).toEqual([]);
});

describe("a conversation that an earlier version of the page kept with the pictures in its turns", () => {
  beforeEach(async () => {
    await ask(page, "One?", "a.png");
    await page.evaluate(toEarlierVersion, dataUri);
    expect(await files()).toEqual([]);
    await page.reload();
  });

  test("is shown, and has them beside it after its next save", async () => {
    await expect.poll(() => shown(page)).toEqual([true]);
    await ask(page, "Two?");

    await expect.poll(async () => (await files()).length).toBe(1);
    expect(JSON.stringify((await records()).filter(({ id }) => !Array.isArray(id)))).not.toContain("data:image");
    await page.reload();
    await expect.poll(() => shown(page)).toEqual([true]);
  });

  test("has them after a save of a page that may close, which reads nothing first", async () => {
    await expect.poll(() => shown(page)).toEqual([true]);
    await page.getByRole("button", { name: "Think", exact: true }).click();
    await page.evaluate(() => {
      Object.defineProperty(document, "hidden", { value: true });
      document.dispatchEvent(new Event("visibilitychange"));
    });

    await expect.poll(async () => (await files()).length).toBe(1);
    await page.reload();
    await expect.poll(() => shown(page)).toEqual([true]);
  });
});

test("pictures from two tabs are kept and shown in both", async () => {
  await ask(page, "One?", "a.png");
  const other = await page.context().newPage();
  await other.goto(front.url);
  await other.getByRole("button", { name: "One?", exact: true }).click();
  await lastAnswer(other);
  await ask(other, "Two?", "b.png");
  await page.locator(".answer-foot").nth(1).waitFor();
  await ask(page, "Three?", "c.png");

  for (const tab of [page, other]) await expect.poll(() => shown(tab)).toEqual([true, true, true]);
  expect((await files()).length).toBe(3);
  await other.reload();
  await expect.poll(() => shown(other)).toEqual([true, true, true]);
});

test("a picture is kept with an answer that runs when the page is left, and after the user cleared the database", async () => {
  await ask(page, "One?", "a.png");
  const session = await page.context().newCDPSession(page);
  await session.send("Storage.clearDataForOrigin", { origin: front.url, storageTypes: "all" }); // closes the database
  front.answerWith(streamed(["The first words"], "open"));
  await attach(page, "b.png");
  await messageField(page).fill("Two?");
  await messageField(page).press("Enter");
  await page.getByText("The first words").waitFor();
  await expect.poll(async () => (await files()).length).toBe(2); // there is a database again: a page that closes has no time to make one
  await page.reload();

  await page.getByRole("navigation").getByRole("button", { name: "One?", exact: true }).click();
  await page.getByText("The first words").waitFor();
  await expect.poll(() => shown(page)).toEqual([true, true]);
});

test("a database that the user cleared is there again before anything is to be kept: a page that closes has no time to make one", async () => {
  await ask(page, "One?");
  const session = await page.context().newCDPSession(page);
  await session.send("Storage.clearDataForOrigin", { origin: front.url, storageTypes: "all" }); // closes the database
  // Not `indexedDB.databases()`: asked while a database is being cleared, Chromium sometimes never answers it.
  const storeNames = () =>
    page.evaluate(
      () =>
        new Promise<string[]>((resolve) => {
          const opening = indexedDB.open("ernie-vl");
          opening.addEventListener("upgradeneeded", () => opening.transaction!.abort()); // the page makes it
          opening.addEventListener("error", () => resolve([]));
          opening.addEventListener("success", () => {
            resolve([...opening.result.objectStoreNames]);
            opening.result.close();
          });
        }),
    );

  await expect.poll(storeNames).toEqual(["conversations", "summaries"]);
  front.answerWith(streamed(["The first words"], "open"));
  await send(page, "Two?");
  await page.getByText("The first words").waitFor();
  await page.reload();

  await page.getByRole("navigation").getByRole("button", { name: "One?", exact: true }).click();
  await page.getByText("The first words").waitFor();
});
