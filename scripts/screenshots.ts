// npm run screenshots: takes the pictures of the web page for the README and docs. Starts the built server and writes docs/images/.

import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import type { BrowserContextOptions, Page } from "playwright-core";
import sharp from "sharp";
import { lastAnswer, launchBrowser, openPage, send } from "../test/browser/browser.ts";
import { calling, inTurn, startFront, streamed } from "../test/browser/front.ts";
import { type RunningServer, startServer } from "../test/e2e/start-server.ts";

new Command("screenshots").description("Takes the pictures of docs/images.").parse();
const folder = fileURLToPath(new URL("../docs/images/", import.meta.url));
mkdirSync(folder, { recursive: true });

const server = await startServer();
const browser = await launchBrowser();

await take("playground-light", { colorScheme: "light", viewport: { width: 1280, height: 800 } }, async (page) => {
  await ask(page, "Describe the image.");
  await page.getByRole("button", { name: "New conversation" }).first().click();
  await ask(page, "What is the weather in Toronto?", "form.calls");
  await page.getByRole("button", { name: "New conversation" }).first().click();
  await ask(page, "Which picture shows a purple diamond?");
  await page.locator("summary").click();
});
await take("playground-dark", { colorScheme: "dark", viewport: { width: 1280, height: 800 } }, async (page) => {
  await ask(page, "What is the weather in Toronto?", "form.calls");
  await page.getByLabel("Result of the call").fill('{"temperature": 12, "condition": "sunny"}');
  await page.getByRole("button", { name: "Send the result" }).click();
  await page.locator(".turn.answer .markdown").waitFor();
  await lastAnswer(page);
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("tab", { name: "Tools" }).click();
});
for (const colorScheme of ["light", "dark"] as const) {
  const exposing = await startServer(["--expose-routing"]); // one each: what is cached is not routed
  await take(
    `routing-${colorScheme}`,
    { colorScheme, viewport: { width: 800, height: 1060 } },
    async (page) => {
      await ask(page, "Describe what you see.");
      await page.getByRole("button", { name: "Show the experts behind this answer" }).click();
    },
    exposing,
  );
  await take(
    `status-${colorScheme}`,
    { colorScheme, viewport: { width: 800, height: 740 } },
    async (page) => {
      await page.getByRole("button", { name: "Server status" }).click();
      await keepBusy(exposing);
    },
    exposing,
  );
  await exposing.stop();
}
// Nano cannot name places, so this answer is prepared: its places are where the picture's shapes are.
const front = await startFront(server.url);
const places = [
  { bbox_2d: [314, 107, 586, 296], label: "blue star" },
  { bbox_2d: [636, 260, 871, 434], label: "purple circle" },
  { bbox_2d: [443, 510, 779, 740], label: "white star" },
  { bbox_2d: [136, 658, 429, 918], label: "purple diamond" },
];
front.answerWith(streamed([`\`\`\`json\n[\n${places.map((place) => `  ${JSON.stringify(place)}`).join(",\n")}\n]\n\`\`\``], "done"));
for (const colorScheme of ["light", "dark"] as const) {
  await take(
    `places-${colorScheme}`,
    { colorScheme, viewport: { width: 800, height: 1060 } },
    async (page) => {
      await page.locator("input[type=file]").setInputFiles(fileURLToPath(new URL("../web/samples/night.png", import.meta.url)));
      await page.getByRole("button", { name: "Remove night.png" }).waitFor();
      await send(page, "Find all shapes. Answer with a JSON list of bbox_2d and label.");
      await lastAnswer(page);
    },
    front,
  );
}
// Nano does not zoom either.
for (const colorScheme of ["light", "dark"] as const) {
  const zoom = calling("image_zoom_in_tool", { bbox_2d: [114, 638, 451, 938], label: "shape below on the left" });
  front.answerWith(inTurn(zoom, streamed(["It is a purple diamond."], "done")));
  await take(
    `zoom-${colorScheme}`,
    { colorScheme, viewport: { width: 800, height: 960 } },
    async (page) => {
      await page.locator("input[type=file]").setInputFiles(fileURLToPath(new URL("../web/samples/night.png", import.meta.url)));
      await page.getByRole("button", { name: "Remove night.png" }).waitFor();
      await page.getByRole("button", { name: "Settings" }).click();
      await page.getByRole("tab", { name: "Tools" }).click();
      await page.getByRole("switch", { name: "Let the model zoom into pictures" }).check();
      await page.getByRole("button", { name: "Close settings" }).click();
      await send(page, "What is below on the left?");
      await page.getByText("It is a purple diamond.", { exact: true }).waitFor();
      await lastAnswer(page);
    },
    front,
  );
}
await front.close();
await browser.close();
await server.stop();

async function ask(page: Page, question: string, until = ".turn.answer .answer-foot"): Promise<void> {
  await page.getByRole("button", { name: question }).click();
  await page.locator(until).waitFor();
}

/** Load for the charts: about a minute with a rising, then falling number of clients; some are still running at the end. */
async function keepBusy({ client }: RunningServer): Promise<void> {
  const request = {
    model: "ernie-vl-nano",
    messages: [{ role: "user" as const, content: "Describe the weather in Toronto." }],
    max_completion_tokens: 400,
    ignore_eos: true,
  };
  const clients = [2, 5, 9, 14, 20, 18, 10, 6, 4];
  const until = Date.now() + 56_000;
  const work = async (index: number) => {
    while (Date.now() < until) {
      const wanted = clients[Math.min(Math.floor(((Date.now() - until) / 56_000 + 1) * clients.length), clients.length - 1)]!;
      if (index < wanted) await client.chat.completions.create(request);
      else await new Promise((resolve) => setTimeout(resolve, 200));
    }
  };
  await Promise.race(Array.from({ length: Math.max(...clients) }, (_, index) => work(index)));
}

/** Saves a PNG with a palette, which shows no visible loss on flat areas and text. */
async function take(
  name: string,
  options: BrowserContextOptions,
  prepare: (page: Page) => Promise<void>,
  { url }: { readonly url: string } = server,
): Promise<void> {
  const { page, close } = await openPage(browser, url, { ...options, reducedMotion: "reduce" });
  await prepare(page);
  await page.mouse.move(0, 0);
  await page.waitForTimeout(300); // transitions
  const { size } = await sharp(await page.screenshot())
    .png({ palette: true, colours: 128, effort: 10 })
    .toFile(`${folder}${name}.png`);
  console.log(`docs/images/${name}.png: ${Math.round(size / 1024)} KiB`);
  await close();
}
