// One conversation in two tabs.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { openBehindFront } from "./behind-front.ts";
import { lastAnswer, messageField, send } from "./browser.ts";
import { endless, type Front, streamed } from "./front.ts";

let front: Front;
let page: Page;

openBehindFront((readyFront, opened) => {
  front = readyFront;
  page = opened.page;
});

const question = "What is the capital of Ireland?";
const words = (from: Page) => from.locator(".bubble, .turn.answer .markdown").allTextContents();

/** The conversation of a first question, in a second tab. */
async function openAgain(): Promise<Page> {
  front.answerWith(streamed(["Dublin."], "done"));
  await send(page, question);
  await lastAnswer(page);
  const other = await page.context().newPage();
  await other.goto(front.url);
  await other.locator(".model.ready").waitFor();
  await other.getByRole("button", { name: question, exact: true }).click();
  await lastAnswer(other);
  return other;
}

test("what is asked in one tab is answered in the other, too, which can stop it", async () => {
  const other = await openAgain();
  front.answerWith(endless("word "));
  await send(page, "Go on.");
  await other.getByText(/^(word ){3}/).waitFor();
  await other.getByRole("button", { name: "Stop the answer (Esc)" }).click();
  await page.getByText("Stopped.").waitFor();
  await other.getByText("Stopped.").waitFor();

  const last = await words(page);
  await expect.poll(() => words(other)).toEqual(last); // it may have given up on a slow tab before
});

test("what both tabs ask at the same moment is answered in both, and kept", async () => {
  const other = await openAgain();
  await messageField(page).fill("One?");
  await messageField(other).fill("Two?");
  await Promise.all(
    [page, other].map((tab) => tab.evaluate(() => document.querySelector<HTMLFormElement>("form.composer")!.requestSubmit())),
  );

  const turns = (tab: Page) => tab.locator(".turn.answer .answer-foot").count();
  // The one that hears of the other first does not send: its text stays.
  const unsent = async () => (await Promise.all([page, other].map((tab) => messageField(tab).inputValue()))).filter((text) => text !== "");
  for (const tab of [page, other]) {
    await expect.poll(() => turns(tab)).toBeGreaterThan(1); // until something was sent, both are unsent
    await expect.poll(async () => (await turns(tab)) + (await unsent()).length).toBe(3);
  }
  const all = [...(await words(page)), ...(await unsent())].toSorted();
  expect(all.filter((text) => text !== "Dublin.")).toEqual(["One?", "Two?", question]);
  await page.reload();
  await lastAnswer(page);
  await expect.poll(async () => (await words(page)).toSorted()).toEqual((await words(other)).toSorted());
});

test("what one tab asks is in the other, which can go on from there; and a deleted conversation is gone in both", async () => {
  const other = await openAgain();
  await send(page, "And now?");
  await other.locator(".answer-foot").nth(1).waitFor();
  await send(other, "In the other tab");
  await page.locator(".answer-foot").nth(2).waitFor();

  expect((await words(page)).filter((text) => text !== "Dublin.")).toEqual([question, "And now?", "In the other tab"]);
  await other.getByRole("button", { name: question, exact: true }).hover();
  await other.getByRole("button", { name: `Delete ${question}` }).click();
  await other.getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByRole("heading", { name: "Ask about a picture" }).waitFor();
  await page.locator(".entry").waitFor({ state: "detached" });
});
