// What the page takes of files, before it sends them.

import { expect, test } from "vitest";
import { defaultLimits } from "../../src/api/app-options.ts";
import { maxSourcePixels } from "../../src/vision/decode-image.ts";
import { maxPictureBytes, maxPicturePixels, maxVideoBytes, readFiles } from "../../web/view/attachments.ts";

test("pictures are made smaller at the limits of the server", () => {
  expect(maxPicturePixels).toBe(maxSourcePixels);
  expect(maxPictureBytes).toBe(defaultLimits.imageBytes);
});

test("a video that is taken fits into a request, and one that does not is refused before it is read", async () => {
  expect(maxVideoBytes * (4 / 3)).toBeLessThan(defaultLimits.bodyBytes - 2 ** 20);
  const film = Object.defineProperty(new File(["x"], "film.mp4", { type: "video/mp4" }), "size", { value: maxVideoBytes + 1 });
  const refusals = ["film.mp4 is larger than 47 MiB; cut it, or make it smaller."];
  expect(await readFiles([film], true)).toEqual({ attachments: [], refusals });
});

test.each([
  ["notes.txt", "text/plain", false, "notes.txt is no picture."],
  ["notes.txt", "text/plain", true, "notes.txt is no picture and no video."],
  ["film.mp4", "video/mp4", false, "film.mp4 is a video, which this model does not take."],
  ["empty.jpg", "image/jpeg", true, "empty.jpg is empty."],
])("%s is refused in words", async (name, type, takesVideo, words) => {
  expect(await readFiles([new File(name.startsWith("empty") ? [] : ["x"], name, { type })], takesVideo)).toEqual({
    attachments: [],
    refusals: [words],
  });
});
