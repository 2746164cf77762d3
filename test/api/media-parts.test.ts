import { describe, expect, test } from "vitest";
import { type RequestLimits, defaultLimits } from "../../src/api/app-options.ts";
import { MediaParts } from "../../src/api/media-parts.ts";
import { RequestError } from "../../src/core/errors.ts";
import type { MediaReader, MediaRequest } from "../../src/core/media.ts";
import { chatPath, makeApp, pngBase64, post, userSays } from "./make-app.ts";

const dataUri = `data:image/png;base64,${pngBase64}`;
const pngLength = Buffer.from(pngBase64, "base64").length;

type Reading = MediaRequest & { readonly url: string; readonly end: (result: Uint8Array | Error) => void };

/** A reader whose readings end when told, or when their signal aborts. */
function heldReader() {
  const readings: Reading[] = [];
  const reader: MediaReader = {
    read: (url, request) =>
      new Promise((resolve, reject) => {
        request.signal.addEventListener("abort", () => reject(request.signal.reason as Error));
        readings.push({ ...request, url, end: (result) => (result instanceof Error ? reject(result) : resolve(result)) });
      }),
  };
  return { reader, readings };
}

const partsOf = (reader: MediaReader, limits: Partial<RequestLimits> = {}, signal = new AbortController().signal) =>
  new MediaParts({ ...defaultLimits, ...limits }, reader, signal);
const source = (n: number) => ({ url: `https://host.test/${n}`, param: `image ${n}` });

test("a picture by URL becomes a part like one that came along", async () => {
  const reader: MediaReader = { read: async (url) => Buffer.from(url) };
  const { app, calls } = makeApp(undefined, { media: reader });
  const content = [
    { type: "image_url", image_url: { url: "https://host.test/a.png", detail: "low" } },
    { type: "image_url", image_url: "file:///b.png" },
    { type: "image_url", image_url: { url: dataUri } },
  ];

  const response = await app.request(chatPath, post(userSays(content)));

  expect(response.status).toBe(200);
  expect(calls[0]!.chat.messages[0]!.content).toEqual([
    { type: "image", bytes: Buffer.from("https://host.test/a.png"), maxPixels: 200_704, param: "messages[0].content[0].image_url.url" },
    { type: "image", bytes: Buffer.from("file:///b.png"), param: "messages[0].content[1].image_url" },
    { type: "image", bytes: Buffer.from(pngBase64, "base64"), param: "messages[0].content[2].image_url.url" },
  ]);
});

test("/tokenize reads them too", async () => {
  const { app, chats } = makeApp(undefined, { media: { read: async () => Buffer.from("png") } });

  const response = await app.request("/tokenize", post(userSays([{ type: "image_url", image_url: "https://host.test/" }])));

  expect(response.status).toBe(200);
  expect(chats[0]!.messages[0]!.content).toMatchObject([{ type: "image", bytes: Buffer.from("png") }]);
});

describe("one budget for all pictures of a request", () => {
  test.each([
    ["count", { imageCount: 2 }, "too_many_images", "at most 2 pictures"],
    ["bytes together", { mediaBytes: 2 * pngLength }, "image_file_too_large", "of files in one request"],
  ])("%s", async (_, limits, code, words) => {
    const reader: MediaReader = { read: async () => Buffer.from(pngBase64, "base64") };
    const parts = partsOf(reader, limits);
    await parts.image({ url: dataUri, param: "image 0" });
    await parts.image(source(1));

    await expect(parts.image(source(2))).rejects.toMatchObject({ status: 400, code, param: "image 2" });
    await expect(partsOf(reader, { ...limits, imageCount: 0 }).image(source(3))).rejects.toBeInstanceOf(RequestError);
    await expect(parts.image(source(4))).rejects.toThrow(words);
  });

  test("each download may be as large as one picture", async () => {
    const { reader, readings } = heldReader();
    const image = partsOf(reader, { imageBytes: 77 }).image(source(1));

    await expect.poll(() => readings.map(({ maxBytes }) => maxBytes)).toEqual([77]);
    readings[0]!.end(Buffer.from("x"));
    await image;
  });
});

describe("a document is refused in codes of its own,", () => {
  const reader: MediaReader = {
    read: (_, { param }) => Promise.reject(new RequestError("no such file", { code: "image_file_not_found", param })),
  };

  test.each([
    ["for its bytes", "data:,abc", { documentBytes: 2 }, "file_too_large"],
    ["for the bytes of all files", "data:,abc", { mediaBytes: 2 }, "file_too_large"],
    ["for data that is no base64", "data:;base64,$", {}, "invalid_file"],
    ["for data that is empty", "data:,", {}, "invalid_file"],
    ["for their number", "data:,abc", { documentCount: 0 }, "too_many_documents"],
    ["but for its URL in those of any file", "file:///a.pdf", {}, "image_file_not_found"],
  ])("%s", async (_, url, limits, code) => {
    await expect(partsOf(reader, limits).document({ url, param: "document 0" })).rejects.toMatchObject({
      status: 400,
      code,
      param: "document 0",
    });
  });
});

test("a request reads four at a time, in order", async () => {
  const { reader, readings } = heldReader();
  const parts = partsOf(reader);
  const images = [0, 1, 2, 3, 4, 5].map((n) => parts.image(source(n)));
  const begun = () => readings.map(({ param }) => param.at(-1)).join("");
  await expect.poll(begun).toBe("0123");

  readings[2]!.end(Buffer.from("x"));

  await expect.poll(begun).toBe("01234");
  for (const n of [0, 1, 3, 4]) readings[n]!.end(Buffer.from("x"));
  await expect.poll(begun).toBe("012345");
  readings[5]!.end(Buffer.from("x"));
  expect(await Promise.all(images)).toHaveLength(6);
});

test("the first failure ends the other readings", async () => {
  const { reader, readings } = heldReader();
  const parts = partsOf(reader);
  const images = [0, 1, 2, 3, 4].map((n) => parts.image(source(n)));
  await expect.poll(() => readings.length).toBe(4);

  readings[1]!.end(new RequestError("not there", { param: "image 1" }));
  const outcomes = await Promise.allSettled(images);

  expect(outcomes.map((outcome) => outcome.status === "rejected" && (outcome.reason as Error).message)).toEqual(Array(5).fill("not there"));
  expect(readings.map(({ signal }) => signal.aborted)).not.toContain(false);
});

test("a client that leaves ends the reading, and is no failure of the server", async () => {
  const { reader, readings } = heldReader();
  const { app, calls, lines } = makeApp(undefined, { media: reader });
  const client = new AbortController();
  const body = userSays([{ type: "image_url", image_url: { url: "https://host.test/" } }]);
  const answer = app.request(chatPath, { ...post(body), signal: client.signal });
  await expect.poll(() => readings.length).toBe(1);

  client.abort();

  expect((await answer).status).toBe(499);
  expect(calls).toEqual([]);
  expect(lines).toMatchObject([{ level: "info", fields: { status: 499 } }]);
});

test("the log tells an operator why a download failed, by the system's code alone", async () => {
  const cause = Object.assign(new Error("connect ECONNREFUSED 10.0.0.7:80 for secret.internal"), { code: "ECONNREFUSED" });
  const error = new RequestError("could not be reached", { code: "failed_to_download_image", cause });
  const { app, lines } = makeApp(undefined, { media: { read: () => Promise.reject(error) } });

  const response = await app.request(chatPath, post(userSays([{ type: "image_url", image_url: "https://host.test/" }])));

  expect(await response.text()).not.toContain("ECONNREFUSED");
  expect(lines).toMatchObject([{ fields: { status: 400, errorCode: "failed_to_download_image", errorCause: "ECONNREFUSED" } }]);
  expect(JSON.stringify(lines)).not.toMatch(/internal|10\.0/);
});
