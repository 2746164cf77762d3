// An answer with long blocks or formulas, while it is written and once it is whole.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { openBehindFront } from "./behind-front.ts";
import { lastAnswer, send } from "./browser.ts";
import { type Front, streamed } from "./front.ts";

let front: Front;
let page: Page;

openBehindFront((readyFront, opened) => {
  front = readyFront;
  page = opened.page;
});

const numbered = (count: number, line: (index: number) => string) => Array.from({ length: count }, (_, index) => line(index)).join("");
const code = numbered(250, (i) => (i % 10 === 9 ? "\n" : `  let value${i} = ${i};\n`));
const blocks = {
  code: `Here it is:\n\n\`\`\`js\n${code}\`\`\`\n`,
  list: `Words:\n${numbered(60, (i) => `- item **${i}**\n`)}\nAnd [a link](https://example.com).\n`,
  "loose list": numbered(60, (i) => `${i + 1}. item \`${i}\`\n\n   more of it\n\n`),
  formulas: numbered(30, (i) => `So \\(x_{${i}} = ${i}\\):\n\\[\n\\frac{x}{${i}}\n+ \\sqrt{y}\n\\]\n`),
  table: `| a | b |\n|---|--:|\n${numbered(60, (i) => `| *${i}* | ${i} |\n`)}`,
};

test.each(Object.entries(blocks))("a long %s has the same elements while it grows as once it is whole", async (_, text) => {
  let end = () => undefined as unknown;
  front.answerWith(async (response) => {
    end = () => response.end("data: [DONE]\n\n");
    for (const piece of `${text}\n\nThe end.`.match(/[^]{1,90}/g)!) {
      streamed([piece], "open")(response);
      await new Promise((resolve) => setTimeout(resolve, 20)); // longer than the page waits to draw
    }
  });
  await send(page, "Go");
  const answer = page.locator(".turn.answer .markdown");
  await answer.getByText("The end.", { exact: true }).waitFor();
  const growing = await answer.innerHTML();
  end();
  await lastAnswer(page);

  expect(await answer.innerHTML()).toBe(growing);
});

test("long code is selected as it was written", async () => {
  front.answerWith(streamed([blocks.code], "done"));
  await send(page, "Go");
  await lastAnswer(page);
  await page.locator(".code-block code").evaluate((element) => getSelection()!.selectAllChildren(element));

  expect((await page.evaluate(() => getSelection()!.toString())).trimEnd()).toBe(code.trimEnd());
});

test("a formula is drawn by the browser, and a wide one scrolls by itself", async () => {
  front.answerWith(streamed([`\\[ \\frac{a}{b} \\]\n\n\\[ ${numbered(40, (i) => `x_{${i}} + `)}y \\]`], "done"));
  await send(page, "Go");
  await lastAnswer(page);
  const measure = () =>
    page.locator(".formula").evaluateAll((formulas) =>
      formulas.map((formula) => ({
        scrolls: formula instanceof HTMLElement && formula.scrollWidth > formula.clientWidth, // not MathML: only Chromium could scroll it
        canHaveFocus: (formula as HTMLElement).tabIndex === 0,
        overTops: [...formula.querySelectorAll("mfrac > *")].map((part) => part.getBoundingClientRect().top),
      })),
    );
  const [fraction, wide] = await measure();

  expect(fraction!.overTops[0]).toBeLessThan(fraction!.overTops[1]!);
  expect([fraction!.scrolls, fraction!.canHaveFocus]).toEqual([false, false]);
  expect([wide!.scrolls, wide!.canHaveFocus]).toEqual([true, true]);
  expect(await page.locator(".transcript").evaluate(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)).toBe(0);
});

test("a long formula within a line is broken after its operators, and what is still too wide scrolls with its block", async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  const sum = numbered(20, (i) => `x_{${i}} + `);
  const row = numbered(20, (i) => `${i} & `);
  front.answerWith(streamed([`- Item \\(${sum}y\\)\n- $\\begin{matrix} ${row}y \\end{matrix}$\n\n### Heading \\(${sum}y\\)\n`], "done"));
  await send(page, "Go");
  await lastAnswer(page);
  const [list, heading] = await page
    .locator(".markdown > *")
    .evaluateAll((blocks) => blocks.map((block) => ({ scrolls: block.scrollWidth > block.clientWidth, height: block.clientHeight })));

  expect([list!.scrolls, heading!.scrolls]).toEqual([true, false]);
  expect(heading!.height).toBeGreaterThan(60); // several lines
  expect(await page.locator(".transcript").evaluate(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)).toBe(0);
});

test("the font of primes and script letters is loaded", async () => {
  front.answerWith(streamed(["$f'(x)$"], "done"));
  await send(page, "Go");
  await lastAnswer(page);

  await page.waitForFunction(async () => [...(await document.fonts.ready)].some(({ family }) => family === "Temml"));
  expect(await page.evaluate(async () => [...(await document.fonts.ready)].map(({ status }) => status))).toEqual(["loaded"]);
});
