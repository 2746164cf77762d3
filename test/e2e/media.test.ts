// Pictures by URL: the whole program, a picture server beside it and the folder of samples.

import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { pathToFileURL } from "node:url";
import { BadRequestError } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { modelFolder, type RunningServer, startServer } from "./start-server.ts";
import { listenLocally } from "../listen-locally.ts";

const samples = `${modelFolder}/samples`;
const asked: string[] = [];
let pictures: Server;
let pictureUrl: string;
let server: RunningServer;

beforeAll(async () => {
  pictures = createServer((incoming, response) => {
    asked.push(incoming.url!);
    if (incoming.url === "/moved") response.writeHead(301, { location: "/03_read_number.png" }).end();
    else if (incoming.url === "/away") response.writeHead(302, { location: "http://169.254.169.254/latest/meta-data/" }).end();
    else if (incoming.url === "/text") response.writeHead(200, { "content-type": "image/png" }).end("no picture");
    else if (incoming.url === "/03_read_number.png") response.end(readFileSync(`${samples}/03_read_number.png`));
    else response.writeHead(404).end();
  });
  pictureUrl = await listenLocally(pictures);
  const { host } = new URL(pictureUrl);
  server = await startServer(["--allow-media-domain", host, "127.0.0.1:1", "--allow-media-path", samples]);
});
afterAll(async () => {
  await server?.stop();
  pictures.close();
});

let requestCount = 0;

async function ask(url: string, question: string): Promise<string | null> {
  requestCount++;
  const content = [
    { type: "image_url" as const, image_url: { url } },
    { type: "text" as const, text: question },
  ];
  const messages = [{ role: "user" as const, content }];
  const { choices } = await server.client.chat.completions.create({ model: "ernie-vl-nano", messages, temperature: 0 });
  return choices[0]!.message.content;
}

test.each(["/03_read_number.png", "/moved"])("a picture of an allowed host is answered about: %s", async (path) => {
  expect(await ask(pictureUrl + path, "Which number is printed here?")).toBe("The number is 5574.");
});

test("so is a picture of an allowed folder", async () => {
  const url = pathToFileURL(`${samples}/01_describe.png`).href;

  expect(await ask(url, "Describe the image.")).toBe("A blue star and a black star.");
});

describe("refused, with the field and a code of its own:", () => {
  test.each([
    ["another port of that host", () => "http://127.0.0.1:2/a.png", "invalid_image_url"],
    ["a host that is not allowed", () => "https://example.com/a.png", "invalid_image_url"],
    ["a redirect to the metadata service", () => `${pictureUrl}/away`, "failed_to_download_image"],
    ["a picture that is not there", () => `${pictureUrl}/none.png`, "failed_to_download_image"],
    ["an allowed service that does not run", () => "http://127.0.0.1:1/", "failed_to_download_image"],
    ["what is no picture", () => `${pictureUrl}/text`, "invalid_image_format"],
    ["a file outside the folder", () => pathToFileURL(`${modelFolder}/config.json`).href, "image_file_not_found"],
    ["a file outside the folder, by dots", () => `${pathToFileURL(samples).href}/%2e%2e/config.json`, "image_file_not_found"],
  ])("%s", async (_, url, code) => {
    const error: unknown = await ask(url(), "What is it?").catch((reason: unknown) => reason);

    expect(error).toBeInstanceOf(BadRequestError);
    expect(error).toMatchObject({ code, param: "messages[0].content[0].image_url.url" });
    expect((error as Error).message).not.toMatch(/169\.254|ENOENT|ECONN/);
  });
});

test("the log has no URL and no failure of the server's own", async () => {
  await expect.poll(() => server.logLines().length).toBe(requestCount); // lines follow their answers
  const lines = server.logLines();

  expect(lines).toContainEqual(expect.objectContaining({ errorCode: "image_file_not_found" }));
  expect(lines).toContainEqual(expect.objectContaining({ errorCode: "failed_to_download_image", errorCause: "ECONNREFUSED" }));
  expect(JSON.stringify(lines)).not.toMatch(/read_number|samples|example\.com/);
  expect(lines.filter((line) => line.err !== undefined || line.status === 500)).toEqual([]);
  expect(asked).toContain("/moved");
});
