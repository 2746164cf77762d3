import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeDataUri } from "../../src/api/data-uri.ts";

const maxBytes = 1000;
const decode = (uri: string) => Buffer.from(decodeDataUri(uri, "p", maxBytes));

describe("every legal spelling gives the same bytes", () => {
  const bytes = Buffer.from([0xfb, 0xef, 0xff, 0x00, 0x41]);
  test.each([
    ["plain", "data:image/png;base64,++//AEE="],
    ["without padding", "data:image/png;base64,++//AEE"],
    ["url-safe alphabet", "data:image/png;base64,--__AEE="],
    ["no media type", "data:;base64,++//AEE="],
    ["only the flag", "data:;BASE64,++//AEE="],
    ["upper case scheme and flag", "DATA:IMAGE/PNG;BASE64,++//AEE="],
    ["parameters", "data:image/png;charset=utf-8;name=a.png;base64,++//AEE="],
    ["space before the flag", "data:image/png; base64,++//AEE="],
    ["line breaks", "data:image/png;base64,++//\r\n AEE=\n"],
    ["percent escapes", "data:image/png;base64,%2B%2b//AEE%3D"],
    ["escaped line break", "data:image/png;base64,++//%0AAEE="],
    ["percent-encoded without base64", "data:image/png,%FB%ef%FF%00A"],
    ["fragment after percent-encoded data", "data:image/png,%FB%ef%FF%00A#top"],
  ])("%s", (_, uri) => {
    expect(decode(uri)).toEqual(bytes);
  });
});

test("a comma in the data belongs to the data", () => {
  expect(decode("data:,a,b").toString()).toBe("a,b");
});

test("a percent sign that starts no escape stands for itself, and other characters are UTF-8", () => {
  expect(decode("data:,100%é%4").toString()).toBe("100%é%4");
});

describe("what cannot be decoded is refused with its code", () => {
  test.each([
    ["no comma", "data:image/png;base64", "invalid_image_url"],
    ["illegal character", "data:image/png;base64,AA*A", "invalid_base64_image"],
    ["escape of an illegal character", "data:image/png;base64,AA%00A", "invalid_base64_image"],
    ["a single rest character", "data:image/png;base64,AAAAA", "invalid_base64_image"],
    ["padding in the middle", "data:image/png;base64,AA==AAAA", "invalid_base64_image"],
    ["too much padding", "data:image/png;base64,AAA==", "invalid_base64_image"],
    ["only padding", "data:image/png;base64,====", "invalid_base64_image"],
    ["nothing", "data:image/png;base64,", "empty_image_file"],
    ["only whitespace", "data:image/png;base64, \n", "empty_image_file"],
    ["too many bytes", `data:image/png;base64,${"AAAA".repeat(400)}`, "image_file_too_large"],
    ["far too many bytes", `data:image/png;base64,${"AAAA".repeat(4000)}`, "image_file_too_large"],
  ])("%s", (_, uri, code) => {
    expect(() => decode(uri)).toThrow(expect.objectContaining({ name: "RequestError", status: 400, code, param: "p" }));
  });
});

test("any bytes come back from their base64 and from their percent-encoding", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), fc.constantFrom("base64", "base64url"), (bytes, encoding) => {
      const buffer = Buffer.from(bytes);
      const escaped = [...bytes].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");

      expect(decode(`data:image/png;base64,${buffer.toString(encoding as BufferEncoding)}`)).toEqual(buffer);
      expect(decode(`data:image/png,${escaped}`)).toEqual(buffer);
    }),
  );
});
