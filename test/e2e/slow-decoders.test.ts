// Pictures whose decoders may go on for hours: the whole program loads them in processes of their own.

import { readdirSync, readFileSync } from "node:fs";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { modelFolder, type RunningServer, startServer } from "./start-server.ts";

let server: RunningServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server?.stop();
});

const sample = readFileSync(`${modelFolder}/samples/03_read_number.png`);

async function ask(files: readonly Uint8Array[], signal?: AbortSignal): Promise<string | null> {
  const pictures = files.map((file) => ({
    type: "image_url" as const,
    image_url: { url: `data:;base64,${Buffer.from(file).toString("base64")}` },
  }));
  const content = [...pictures, { type: "text" as const, text: "Which number is printed here?" }];
  const body = { model: "ernie-vl-nano", messages: [{ role: "user" as const, content }], temperature: 0 };
  const { choices } = await server.client.chat.completions.create(body, { signal });
  return choices[0]!.message.content;
}

describe("is read as the same picture in PNG is:", () => {
  const frame = sharp(sample);
  test.each([
    ["a TIFF", () => frame.clone().tiff({ compression: "deflate" }).toBuffer()],
    ["an AVIF", () => frame.clone().avif({ quality: 95 }).toBuffer()],
    [
      "an animated WebP",
      () =>
        sharp([sample, sample], { join: { animated: true } })
          .webp({ lossless: true })
          .toBuffer(),
    ],
  ])("%s", async (_, make) => {
    expect(await ask([await make()])).toBe("The number is 5574.");
  });
});

test("the pixels of all are counted together", async () => {
  const large = await sharp({ create: { width: 6000, height: 6000, channels: 3, background: "red" } })
    .tiff({ compression: "deflate" })
    .toBuffer();

  await expect(ask([large, large, large, large, large, large])).rejects.toMatchObject({
    status: 400,
    code: "image_too_large",
    message: expect.stringMatching(/too many pixels together/),
  });
});

test.runIf(process.platform === "linux")(
  "a client that leaves takes its decoder along, and others' pictures are answered about",
  async () => {
    const decoders = () => readdirSync(`/proc/${server.pid}/task`).flatMap((task) => children(`/proc/${server.pid}/task/${task}/children`));
    const client = new AbortController();
    // More than the threads that Node has for native work, and files.
    const left = Promise.allSettled(Array.from({ length: 6 }, () => ask([endlessTiff], client.signal)));
    await expect.poll(decoders).toHaveLength(2);

    client.abort();

    await left;
    await expect.poll(decoders).toEqual([]);
    expect(await ask([sample])).toBe("The number is 5574.");
  },
);

function children(path: string): string[] {
  return readFileSync(path, "utf8").split(" ").filter(Boolean);
}

/** A TIFF file of 20,000 directories. All have the same half a million strips, which the decoder reads again for each one. */
const endlessTiff = writeTiff(20_000, 500_000);

function writeTiff(directoryCount: number, stripCount: number): Buffer {
  const stripsAt = 8;
  const firstAt = stripsAt + 4 * stripCount;
  const fields = [
    [0x100, 1], // width
    [0x101, stripCount], // height
    [0x102, 8], // bits
    [0x106, 1], // grey
    [0x111, stripsAt, stripCount], // offsets of strips
    [0x116, 1], // rows of a strip
    [0x117, stripsAt, stripCount], // their bytes
  ] as const;
  const directoryBytes = 2 + 12 * fields.length + 4;
  const file = Buffer.alloc(firstAt + directoryCount * directoryBytes);
  file.write("II*\0", "latin1");
  file.writeUInt32LE(firstAt, 4);
  for (let strip = 0; strip < stripCount; strip++) file.writeUInt32LE(1, stripsAt + 4 * strip);
  for (let directory = 0; directory < directoryCount; directory++) {
    const at = firstAt + directory * directoryBytes;
    file.writeUInt16LE(fields.length, at);
    for (const [index, [tag, value, count = 1]] of fields.entries()) {
      const field = at + 2 + 12 * index;
      file.writeUInt16LE(tag, field);
      file.writeUInt16LE(4, field + 2); // of 32 bits
      file.writeUInt32LE(count, field + 4);
      file.writeUInt32LE(value, field + 8);
    }
    if (directory + 1 < directoryCount) file.writeUInt32LE(at + directoryBytes, at + directoryBytes - 4);
  }
  return file;
}
