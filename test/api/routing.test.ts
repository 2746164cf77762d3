import { describe, expect, test } from "vitest";
import { chatCompletion, chatCompletionChunk, model } from "../../src/api/openapi/answer-schemas.ts";
import { notComputed, type SequenceRouting } from "../../src/core/routing.ts";
import { chatPath, type Envelope, frames, makeApp, post, started, usage, userSays } from "./make-app.ts";

const routing: SequenceRouting = {
  layers: [1, 3],
  expertCount: 2,
  topK: 1,
  text: { tokens: 3, counts: Uint32Array.of(3, 0, 0, 0, 1, 2, 0, 0) },
  vision: { tokens: 2, counts: Uint32Array.of(0, 0, 1, 1, 0, 0, 0, 2) },
  pictures: [
    { frameCount: 1, patchRows: 2, patchColumns: 4, favourites: Uint8Array.of(2, 3, 3, notComputed) },
    { frameCount: 4, patchRows: 2, patchColumns: 4, favourites: undefined },
  ],
};

const told = {
  layers: [1, 3],
  experts: { text: [0, 2], vision: [2, 4] },
  experts_per_token: 1,
  computed_tokens: { text: 3, vision: 2 },
  text: [
    [3, 0, 0, 0],
    [1, 2, 0, 0],
  ],
  vision: [
    [0, 0, 1, 1],
    [0, 0, 0, 2],
  ],
  pictures: [
    { frames: 1, rows: 1, columns: 2, favourites: [Buffer.of(2, 3).toString("base64"), Buffer.of(3, 255).toString("base64")] },
    { frames: 2, rows: 1, columns: 2, favourites: null },
  ],
};

const answer = [started, { type: "content", text: "A cat." }, { type: "finished", reason: "stop", usage, routing }] as const;

describe("return_routing", () => {
  const { app, calls } = makeApp(answer, { exposesRouting: true });

  test("adds to each choice which experts its tokens went to", async () => {
    const response = await app.request(chatPath, post(userSays("Hi", { return_routing: true })));

    expect(chatCompletion.parse(await response.json())).toMatchObject({ choices: [{ routing: told }] });
    expect(calls.at(-1)!.options.returnsRouting).toBe(true);
  });

  test("adds it to the last chunk of a stream", async () => {
    const response = await app.request(chatPath, post(userSays("Hi", { return_routing: true, stream: true })));

    const chunks = frames(await response.text()).filter((frame) => frame !== "[DONE]");
    const choices = chunks.map((chunk) => chatCompletionChunk.parse(JSON.parse(chunk)).choices[0]!);
    expect(choices.filter(({ routing }) => routing)).toEqual([expect.objectContaining({ finish_reason: "stop", routing: told })]);
  });

  test("is a 400 that names the flag from a server without it, whose model card says nothing of routing", async () => {
    const plain = makeApp();

    const response = await plain.app.request(chatPath, post(userSays("Hi", { return_routing: true })));

    expect(response.status).toBe(400);
    expect(((await response.json()) as Envelope).error).toMatchObject({
      param: "return_routing",
      message: expect.stringContaining("--expose-routing"),
    });
    expect(await (await plain.app.request("/v1/models/ernie")).json()).not.toHaveProperty("routing");
    expect(model.parse(await (await app.request("/v1/models/ernie")).json())).toHaveProperty("routing", true);
  });
});
