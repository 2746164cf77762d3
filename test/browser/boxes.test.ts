// Places that an answer names, drawn over the picture of its question. The answers are scripted: nano knows no places.

import { readFileSync } from "node:fs";
import type { Locator, Page } from "playwright-core";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { decodeImage } from "../../src/vision/decode-image.ts";
import { openBehindFront } from "./behind-front.ts";
import { faultsOf, lastAnswer, send } from "./browser.ts";
import { endless, type Front, streamed } from "./front.ts";

let front: Front;
let page: Page;
openBehindFront((usedFront, opened) => {
  front = usedFront;
  page = opened.page;
});

/** Red on the left, blue on the right; 300 × 200. */
const picture = await sharp({ create: { width: 300, height: 200, channels: 3, background: "blue" } })
  .composite([{ input: { create: { width: 150, height: 200, channels: 3, background: "red" } }, left: 0, top: 0 }])
  .png()
  .toBuffer();
const upload = (name: string, buffer = picture) => ({ name, mimeType: "image/png", buffer });

const red = { bbox_2d: [0, 0, 500, 1000], label: "red" };
const blue = { bbox_2d: [500, 0, 1000, 1000], label: "blue" };
const middle = { point_2d: [500, 500], label: "the middle" };
const fenced = (places: readonly object[]) => `Here they are:\n\n\`\`\`json\n${JSON.stringify(places, null, 2)}\n\`\`\``;
const inPieces = (text: string) => streamed(text.match(/.{1,7}/gs)!, "done");

async function ask(files: ReturnType<typeof upload>[], answer: string): Promise<void> {
  front.answerWith(inPieces(answer));
  if (files.length > 0) await page.locator("input[type=file]").setInputFiles(files);
  for (const { name } of files) await page.getByRole("button", { name: `Remove ${name}` }).waitFor();
  await send(page, "Where is it? Answer with bbox_2d and label as JSON.");
  await lastAnswer(page);
}

/** Where a picture is once it is drawn. */
async function boxOf(picture: Locator) {
  await picture.evaluate((image) => (image as HTMLImageElement).decode());
  return (await picture.boundingBox())!;
}

const places = () => page.getByRole("region", { name: "Places in the picture" });
const entries = () => places().locator("li").allTextContents();

describe.each([
  ["light", 1280],
  ["dark", 1280],
  ["dark", 280],
] as const)("in %s, %i px wide", (colorScheme, width) => {
  test("boxes and points lie where they are in the picture, and the list has them in its pixels", async () => {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 800 });
    await ask([upload("flag.png")], fenced([red, blue, middle]));

    await places().getByText("3 places in flag.png, 300 × 200 pixels").waitFor();
    expect(await entries()).toEqual(["1red: 0,0–150,200", "2blue: 150,0–300,200", "3the middle: 150,100"]);
    const frame = await boxOf(places().getByRole("img", { name: "flag.png" }));
    const overlay = (await places().locator(".place-frame svg").boundingBox())!;
    expect(overlay).toEqual(frame);
    expect(frame.width / frame.height).toBeCloseTo(1.5, 1);
    const right = await places()
      .locator("rect.line")
      .nth(1)
      .evaluate((rect) => {
        const { x, y, width, height } = (rect as SVGRectElement).getBBox();
        return [x, y, width, height].map(Math.round);
      });
    expect(right).toEqual([frame.width / 2, 0, frame.width / 2, frame.height].map(Math.round));
    expect(await page.locator(".code-block").textContent()).toContain('"bbox_2d"'); // the answer itself stays

    expect(await faultsOf(page)).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth)).toBe(false);
  });
});

test("a place and its entry stand out together, by pointer and by keyboard", async () => {
  await ask([upload("flag.png")], fenced([red, blue]));
  const standingOut = () => places().locator(".place-frame text, button.active bdi").allTextContents();

  await places()
    .locator(".place-frame svg")
    .hover({ position: { x: 20, y: 90 } });
  await expect.poll(standingOut).toEqual(["1 red", "red"]);
  await places().getByRole("button", { name: "2 blue: 150,0–300,200" }).focus();
  await expect.poll(standingOut).toEqual(["2 blue", "blue"]);
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await expect.poll(standingOut).toEqual(["2 blue", "blue"]); // it stays once pressed
  await places().getByRole("button", { name: "2 blue", pressed: true }).click();
  await places().getByRole("button", { name: "2 blue", pressed: false }).waitFor();
});

test("places are copied in pixels as JSON, and the picture is saved with them", async () => {
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await ask([upload("flag.png")], fenced([{ ...red, bbox_2d: [100, 100, 400, 900] }, middle]));

  await places().getByRole("button", { name: "Copy the places as JSON, in pixels" }).click();
  await places().getByRole("button", { name: "Copied" }).waitFor();
  expect(JSON.parse(await page.evaluate(() => navigator.clipboard.readText()))).toEqual([
    { label: "red", box: [30, 20, 120, 180] },
    { label: "the middle", point: [150, 100] },
  ]);

  const download = page.waitForEvent("download");
  await places().getByRole("button", { name: "Save the picture with its places" }).click();
  expect((await download).suggestedFilename()).toBe("flag-places.png");
  const saved = sharp(readFileSync(await (await download).path()));
  const { data, info } = await saved.removeAlpha().raw().toBuffer({ resolveWithObject: true });
  expect([info.width, info.height]).toEqual([300, 200]);
  const pixel = (x: number, y: number) => [...data.subarray((y * 300 + x) * 3, (y * 300 + x) * 3 + 3)];
  expect(pixel(15, 100)).toEqual([255, 0, 0]);
  expect(pixel(75, 100)).toEqual([255, 0, 0]);
  expect(pixel(120, 100)).not.toEqual([255, 0, 0]); // the box's right side
  expect(pixel(285, 100)).toEqual([0, 0, 255]);
});

test("a picture that lies on its side is turned for the model as the page shows it", async () => {
  // Red is the upper half of what is seen: the left half of what the file holds, to be turned by 90 degrees.
  const lying = await sharp(picture).withMetadata({ orientation: 6 }).jpeg().toBuffer();
  await ask([upload("photo.jpg", lying)], fenced([{ bbox_2d: [0, 0, 1000, 500], label: "red" }]));

  const seen = await decodeImage(lying, "image");
  await places().getByText(`1 place in photo.jpg, ${seen.width} × ${seen.height} pixels`).waitFor();
  expect([seen.width, seen.height]).toEqual([200, 300]);
  expect(await entries()).toEqual(["1red: 0,0–200,150"]);
  const isRed = (at: number) => seen.rgb[at]! > 200 && seen.rgb[at + 2]! < 50;
  expect([isRed((75 * 200 + 100) * 3), isRed((225 * 200 + 100) * 3)]).toEqual([true, false]);
  const shown = await places()
    .getByRole("img", { name: "photo.jpg" })
    .evaluate((image) => {
      const context = new OffscreenCanvas(200, 300).getContext("2d")!;
      context.drawImage(image as HTMLImageElement, 0, 0);
      return [75, 225].map((y) => context.getImageData(100, y, 1, 1).data[0]! > 200);
    });
  expect(shown).toEqual([true, false]);
});

test("labels are whole and apart, however many and wherever their places are", async () => {
  const labels = ["شاحنة حمراء", "红色的卡车", "a label that is long", "", "right"];
  const crowd = labels.map((label, i) => ({ bbox_2d: [100 + 9 * i, 100, 500, 900], label }));
  await ask([upload("flag.png")], fenced([...crowd, { point_2d: [999, 1], label: "the corner" }]));

  await expect.poll(() => places().locator(".place-frame text").count()).toBe(6);
  const faults = await places()
    .locator(".place-frame")
    .evaluate((frame) => {
      const shapes = [...frame.querySelectorAll("text")].map((text) => text.getBoundingClientRect());
      const { left, right } = frame.getBoundingClientRect();
      const isOver = (a: DOMRect, b: DOMRect) => a.left < b.right && b.left < a.right && Math.abs(a.top - b.top) < 15;
      return shapes.filter((a, i) => a.left < left || a.right > right || shapes.slice(0, i).some((b) => isOver(a, b))).length;
    });
  expect(faults).toBe(0);
});

test("a long picture scrolls, by keyboard, too, and to the place that is pressed", async () => {
  await page.setViewportSize({ width: 360, height: 740 });
  const tall = await sharp(picture).resize(200, 3000, { fit: "fill" }).png().toBuffer();
  await ask([upload("tall.png", tall)], fenced([{ bbox_2d: [0, 900, 1000, 950], label: "below" }]));

  const frame = places().getByRole("region", { name: "tall.png" });
  const { width } = await boxOf(frame.getByRole("img"));
  expect(width).toBeGreaterThan(100);
  await frame.focus();
  await page.keyboard.press("ArrowDown");
  await expect.poll(() => frame.evaluate((element) => element.scrollTop)).toBeGreaterThan(0);
  await places().getByRole("button", { name: "1 below" }).click();
  await expect.poll(() => frame.evaluate(({ scrollTop, scrollHeight }) => scrollTop / scrollHeight)).toBeGreaterThan(0.6);
  expect(await faultsOf(page)).toEqual([]);
});

test("of several pictures the reader chooses, unless the answer says which", async () => {
  await ask([upload("a.png"), upload("b.png")], fenced([red]));
  await places().getByRole("img", { name: "a.png" }).waitFor();
  await places().getByRole("button", { name: "b.png" }).click();
  await places().getByText("1 place in b.png").waitFor();

  await ask([], fenced([{ ...blue, picture: 2 }]));
  await places().nth(1).getByText("1 place in b.png").waitFor();
  expect(await places().nth(1).getByRole("img", { name: "a.png" }).count()).toBe(0);
});

test("a sent picture opens in its size, as far as the window has room, and gives the focus back", async () => {
  const large = await sharp(picture).resize(1800, 1200).png().toBuffer();
  await ask([upload("a.png", large)], "A picture.");
  const sent = page.getByRole("button", { name: "a.png" });

  await sent.press("Enter");

  const dialog = page.getByRole("dialog", { name: "a.png" });
  const { width, height } = await boxOf(dialog.getByRole("img"));
  const window = page.viewportSize()!;
  expect(width / height).toBeCloseTo(1.5, 1);
  expect(width).toBeGreaterThan(0.7 * Math.min(window.width, 1.5 * window.height));
  expect(await dialog.evaluate((element) => element.scrollHeight - element.clientHeight)).toBe(0);
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  expect(await sent.evaluate((element) => element === document.activeElement)).toBe(true);
});

test("large pictures of a message stand side by side, at the side of its words", async () => {
  const large = await sharp(picture).resize(1800, 1200).png().toBuffer();
  await ask([upload("a.png", large), upload("b.png", large)], "Two pictures.");

  const sent = page.getByRole("list", { name: "Attachments" });
  const [a, b] = [await boxOf(sent.getByRole("img", { name: "a.png" })), await boxOf(sent.getByRole("img", { name: "b.png" }))];
  const bubble = (await page.locator(".bubble").boundingBox())!;
  expect(a.y).toBe(b.y);
  expect(a.x + a.width).toBeLessThan(b.x);
  expect(b.x + b.width).toBeCloseTo(bubble.x + bubble.width, 0);
});

test("nothing is drawn without a place, without a picture, and where the browser cannot show it", async () => {
  await ask([], fenced([red]));
  expect(await places().count()).toBe(0);
  await ask([upload("flag.png")], "It is everywhere: [1, 2, 3, 4].");
  expect(await places().count()).toBe(0);
  await ask([upload("flag.png")], fenced([{ bbox_2d: [1200, 1300, 1900, 1800], label: "in pixels" }]));
  await page.getByText("Some places lie outside the picture").waitFor();
  await ask([upload("scan.png", Buffer.from("no picture"))], fenced([red]));
  await places().getByText("This browser cannot display scan.png, so its places are not drawn.").waitFor();
});

test("thousands of places, strange ones and ones without an end leave the page alive", async () => {
  const many = Array.from({ length: 5000 }, (_, i) => ({
    bbox_2d: [i % 900, i % 700, (i % 900) + 90, (i % 700) + 90],
    label: `thing ${i % 50}`,
  }));
  front.answerWith(
    streamed([JSON.stringify([{ bbox_2d: [-50, 900, 4000, 100], label: "wide" }, { bbox: [2000, 1, 3000, 2] }, ...many])], "done"),
  );
  await page.locator("input[type=file]").setInputFiles([upload("flag.png")]);
  await page.getByRole("button", { name: "Remove flag.png" }).waitFor();
  await send(page, "Where is everything?");
  await lastAnswer(page);

  await places().getByText("The answer names 4,801 more places, which are not drawn.").waitFor();
  await places()
    .getByText(/^Some places lie outside the picture/)
    .waitFor();
  expect(await places().locator("rect.line").count()).toBe(200);
  expect(await places().locator("li").first().isVisible()).toBe(false);
  await places().getByText("List of places").click();
  expect((await entries())[0]).toBe("1wide: 0,20–300,180");

  front.answerWith(endless(`{"bbox_2d": [10, 10, 20, 20], "label": "${"x".repeat(200)}"}, [`));
  await send(page, "And where is the rest?");
  await places()
    .nth(1)
    .getByText(/^\d\d places in flag.png/)
    .waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("Stopped.").waitFor();
});
