// What the page takes of files, before it sends them.

import { expect, test } from "vitest";
import { defaultLimits } from "../../src/api/app-options.ts";
import { maxPictureBytes, readFiles } from "../../web/view/attachments.ts";

test("pictures are made smaller at the limit of the server", () => {
  expect(maxPictureBytes).toBe(defaultLimits.imageBytes);
});

test.each([
  ["notes.txt", "text/plain", false, "notes.txt is no picture."],
  ["notes.txt", "text/plain", true, "notes.txt is no picture and no video."],
  ["film.mp4", "video/mp4", false, "film.mp4 is a video, which this model does not take."],
])("%s is refused in words", async (name, type, takesVideo, words) => {
  expect(await readFiles([new File(["x"], name, { type })], takesVideo)).toEqual({ attachments: [], refusals: [words] });
});
