// PDFs and text files in messages, against the real server and the nano model.

import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { openBehindFront } from "./behind-front.ts";
import { drop, lastAnswer, messageField, send } from "./browser.ts";

let page: Page;

openBehindFront((_, opened) => {
  page = opened.page;
});

const number = readFileSync(new URL("../../docs/examples/number.pdf", import.meta.url));
type File = { readonly name: string; readonly mimeType: string; readonly buffer: Buffer };
const choose = (...files: readonly File[]) => page.locator("input[type=file]").setInputFiles(files);
const pdf: File = { name: "number.pdf", mimeType: "application/pdf", buffer: number };
const chip = (words: string) => page.getByRole("button", { name: `Open ${words}`, exact: true });
const question = "Which number is printed here?";

test("a dropped PDF is read, and is still there when the page is loaded anew, to be asked about again", async () => {
  await drop(page.locator("main"), pdf.name, pdf.mimeType, pdf.buffer);
  await chip("number.pdf 2.2 KiB").waitFor();
  await send(page, question);
  expect(await (await lastAnswer(page)).locator(".markdown").textContent()).toBe("The number is 5574.");
  await page.reload();
  await page.locator(".turn.user").getByRole("button", { name: "Open number.pdf 2.2 KiB", exact: true }).waitFor();
  await page.getByRole("button", { name: "Answer again" }).click();

  await page.getByText(/prompt tokens, \d+ cached/).waitFor();
  expect(await page.locator(".turn.answer .markdown").textContent()).toBe("The number is 5574.");
});

test("documents are sent in the order in which they were chosen, with their names, as what they are; a removed one is not", async () => {
  await choose(
    { name: "notes", mimeType: "", buffer: Buffer.from("Zwölf") },
    pdf,
    { name: "page.html", mimeType: "text/html", buffer: Buffer.from("<p>") },
    { name: "code.ts", mimeType: "video/mp2t", buffer: Buffer.from("export {};") },
  );
  await page.getByRole("button", { name: "Remove page.html" }).click();
  expect(await chip("page.html 3 B").count()).toBe(0);
  const sent = page.waitForRequest("**/v1/chat/completions");
  await send(page, question);

  const text = (content: string) => `data:text/plain;base64,${Buffer.from(content).toString("base64")}`;
  const file = (filename: string, data: string) => ({ type: "file", file: { filename, file_data: data } });
  const { messages } = (await sent).postDataJSON() as { messages: [{ content: object[] }] };
  expect(messages[0].content).toEqual([
    file("notes", text("Zwölf")),
    file("number.pdf", `data:application/pdf;base64,${number.toString("base64")}`),
    file("code.ts", text("export {};")),
    { type: "text", text: question },
  ]);
  await (await lastAnswer(page)).locator(".markdown").waitFor();
});

test("a pasted document is attached, and another takes its place when the message is edited", async () => {
  await messageField(page).evaluate((field) => {
    const clipboardData = new DataTransfer();
    clipboardData.items.add(new File(["a note"], "note.md", { type: "text/markdown" }));
    field.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
  });
  await chip("note.md 6 B").waitFor();
  await send(page, question);
  await lastAnswer(page);
  await page.getByRole("button", { name: "Edit this message" }).click();
  const form = page.getByRole("form", { name: "Edit your message" });
  await form.getByRole("button", { name: "Remove note.md" }).click();
  await drop(form, pdf.name, pdf.mimeType, pdf.buffer);
  await form.getByRole("button", { name: "Remove number.pdf" }).waitFor();
  expect(await page.getByRole("button", { name: "Remove number.pdf" }).count()).toBe(1); // not in the message below, too
  await form.getByRole("button", { name: "Send" }).click();

  await page.getByText("The number is 5574.").first().waitFor();
  expect(await chip("note.md 6 B").count()).toBe(0);
});

test("documents are shown by the browser in a tab of their own, HTML as the text that it is", async () => {
  const html = "<script>document.title = 'hit'</script>Grüße";
  await choose(pdf, { name: "page.html", mimeType: "text/html", buffer: Buffer.from(html) });
  for (const [words, type] of [
    ["number.pdf 2.2 KiB", "application/pdf"],
    [`page.html ${Buffer.byteLength(html)} B`, "text/plain"],
  ] as const) {
    const opening = page.context().waitForEvent("page");
    await chip(words).click();
    const tab = await opening;
    await expect.poll(() => tab.evaluate(() => document.contentType).catch(() => undefined)).toBe(type);
    expect(await tab.evaluate(() => window.opener as unknown)).toBe(null);
    if (type === "text/plain") await expect.poll(() => tab.locator("body").textContent()).toBe(html);
    await tab.close();
  }
  expect(await page.getByRole("button", { name: "Remove number.pdf" }).count()).toBe(1);
});

test("documents are files in the request as code", async () => {
  await choose(pdf);
  await send(page, question);
  await (await lastAnswer(page)).getByRole("button", { name: "Show the request as code" }).click();
  const dialog = page.getByRole("dialog", { name: "Request as code" });

  await dialog.locator("pre").filter({ hasText: "data:application/pdf;base64,$(base64 < number.pdf" }).waitFor();
  await dialog.getByText("The code reads its files, by these names, from the current folder.").waitFor();
});

test("documents too large together are not sent, and nothing is lost", async () => {
  await page.evaluate(() => {
    const dataTransfer = new DataTransfer();
    for (const name of ["one.txt", "two.txt"]) dataTransfer.items.add(new File(["a".repeat(25 * 2 ** 20)], name));
    document.querySelector("main")!.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
  });
  await page.getByRole("button", { name: "Remove two.txt" }).waitFor();
  await send(page, question);

  await page.getByRole("alert").getByText("exceed the limit of 64 MiB per request").waitFor();
  expect([await messageField(page).inputValue(), await page.locator(".turn").count()]).toEqual([question, 0]);
  await page.getByRole("button", { name: "New conversation" }).first().click(); // as it advises
  await page.getByRole("alert").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Remove one.txt" }).click();
  await messageField(page).press("Enter");
  await page.locator(".turn.user").getByRole("button", { name: "Open two.txt 25.0 MiB", exact: true }).waitFor();
});
