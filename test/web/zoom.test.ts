// Zooming into pictures: what the tool takes and returns, where it cuts, and how the page goes on by itself.

import { describe, expect, test } from "vitest";
import type { AnswerTurn, Attachment, Turn } from "../../web/chat/conversation.ts";
import { buildRequest, isTooLarge, maxRequestBytes } from "../../web/chat/request.ts";
import { defaultSettings } from "../../web/chat/settings.ts";
import { answerZooms, cropOf, type CutPicture, goesOnByItself, maxZoomRounds, zoomTool } from "../../web/chat/zoom.ts";
import { linkTabs, makePlayground, type Reply, silent, untilIdle } from "./make-playground.ts";
import { contentChunk, makeAnswer, makeAttachment, makeUserTurn, streamOf } from "./make-turns.ts";

const name = zoomTool.function.name;
const settings = { ...defaultSettings, zooms: true };
const cropUrl = "data:image/png;base64,CROP";
const cuts: CutPicture = () => Promise.resolve(cropUrl);

const zoomCall = (args: string, id = "call-0") => ({ id, name, arguments: args });
const asksFor = (...args: string[]) => makeAnswer({ settings, calls: args.map((json, i) => zoomCall(json, `call-${i}`)) });
const whole = '{"bbox_2d": [0, 0, 1000, 1000]}';

async function zoomInto(attachments: readonly Attachment[], args: string, cut = cuts) {
  const turns = await answerZooms([makeUserTurn({ attachments }), asksFor(args)], cut);
  return (turns[1] as AnswerTurn).calls[0]!;
}

describe("a zoom", () => {
  test("returns the region, and which part of which picture it is", async () => {
    const asked: unknown[] = [];
    const cut: CutPicture = (...wish) => {
      asked.push(wish);
      return Promise.resolve(cropUrl);
    };
    const call = await zoomInto([makeAttachment()], '{"bbox_2d": [-5, 100.5, 700, 1200], "label": "sign"}', cut);

    expect(asked).toEqual([["data:image/png;base64,AAAA", [0, 100.5, 700, 1000]]]);
    expect(call.result).toBe("This is the region [0, 100.5, 700, 1000] of Picture 1.");
    const crop = { id: "call-0", kind: "image", name: "stars-zoom-1.png", url: cropUrl };
    expect(call.zoom).toEqual({ crop, of: "picture", box: [0, 100.5, 700, 1000], label: "sign" });
  });

  const four = "bbox_2d must be four numbers";
  const region = "bbox_2d must be a region";
  test.each([
    ["{oh", four],
    ["null", four],
    ["[1, 2, 3, 4]", four],
    ['{"bbox_2d": "0, 0, 5, 5"}', four],
    ['{"bbox_2d": [1, 2, 3]}', four],
    ['{"bbox_2d": [1, 2, 3, "4"]}', four],
    ['{"bbox_2d": [1, 2, 3, 1e999]}', undefined],
    ['{"bbox_2d": [500, 500, 500, 900]}', region],
    ['{"bbox_2d": [1200, 1300, 1900, 2000]}', region],
    ['{"bbox_2d": [700, 600, 100, 50]}', undefined],
  ])("with %s is no failure: the model is told", async (args, mistake) => {
    const { result, zoom } = await zoomInto([makeAttachment()], args);

    expect(zoom === undefined).toBe(mistake !== undefined);
    expect(result).toContain(mistake === undefined ? "This is the region" : `Error: ${mistake}`);
  });

  test("where there is no picture, or the browser cannot open it, says so", async () => {
    const video = makeAttachment({ kind: "video" });
    expect((await zoomInto([video], whole)).result).toMatch(/^Error: there is no picture/);
    const fails: CutPicture = () => Promise.reject(new Error("no picture"));
    expect(await zoomInto([makeAttachment({ name: "scan.tiff" })], whole, fails)).toEqual({
      ...zoomCall(whole),
      result: "Error: scan.tiff cannot be opened, so there is nothing to zoom into.",
    });
  });

  const a = makeAttachment({ id: "a", name: "a.png" });
  const b = makeAttachment({ id: "b", name: "b.jpg" });
  const film = makeAttachment({ id: "film", kind: "video" });
  const pdf = makeAttachment({ id: "pdf", kind: "document", url: "data:application/pdf;base64,AAAA" });
  test.each<[string, readonly Attachment[], string, string, string]>([
    ["the last one", [a, film, b], "sign", "b", "Picture 2"],
    ["the one that the label names", [a, film, b], "Picture 1: sign", "a", "Picture 1"],
    ["the last one, where the label names none of them", [a, b], "picture 9", "b", "Picture 2"],
    ["the last one behind a PDF, whose pages nobody here counts", [a, pdf, b], "Picture 2", "b", "the picture"],
    ["the one before a PDF that the label names", [a, pdf, b], "picture 1", "a", "Picture 1"],
  ])("of several pictures is into %s", async (_, attachments, label, id, said) => {
    const { result, zoom } = await zoomInto(attachments, JSON.stringify({ bbox_2d: [0, 0, 9, 9], label }));

    expect(zoom?.of).toBe(id);
    expect(result).toContain(` of ${said}. For another picture, begin the label with its number`);
  });

  test("counts earlier zooms as the prompt does, and is never into one", async () => {
    const first = await answerZooms([makeUserTurn({ attachments: [a] }), asksFor(whole, whole)], cuts);
    const label = (text: string) => JSON.stringify({ bbox_2d: [0, 0, 9, 9], label: text });
    const second = makeUserTurn({ id: "more", attachments: [b] });
    const turns = await answerZooms([...first, second, asksFor(label("Picture 4"), label("Picture 2"))], cuts);

    const calls = (turns.at(-1) as AnswerTurn).calls;
    expect(calls.map(({ zoom }) => zoom?.of)).toEqual(["b", "b"]);
    expect(calls[0]?.result).toContain("Picture 4.");
    expect(calls.map(({ zoom }) => zoom?.crop.name)).toEqual(["b-zoom-3.png", "b-zoom-4.png"]);
  });

  test("is none of the page's without the switch, nor is another tool's call", async () => {
    const answers: Turn[] = [
      makeAnswer({ calls: [zoomCall(whole)] }),
      makeAnswer({ settings, calls: [{ ...zoomCall(whole), name: "look" }] }),
    ];
    expect(await answerZooms(answers, cuts)).toEqual(answers);
  });
});

describe("what is cut out", () => {
  const size = { width: 4000, height: 3000 };
  const huge = 2 ** 24;

  test.each([
    ["the box in pixels", [250, 500, 750, 1000], { left: 1000, top: 1500, width: 2000, height: 1500, scale: 1 }],
    ["all", [0, 0, 1000, 1000], { left: 0, top: 0, width: 4000, height: 3000, scale: 1 }],
    ["as much around a tiny box as can be looked at", [500, 500, 501, 501], { left: 1988, top: 1488, width: 28, height: 28, scale: 16 }],
    ["no more than the picture has", [999, 999, 1000, 1000], { left: 3972, top: 2972, width: 28, height: 28, scale: 16 }],
    ["nothing too long to be taken", [0, 500, 1000, 501], { left: 0, top: 1482, width: 4000, height: 40 }],
  ] as const)("is %s", (_, box, expected) => {
    expect(cropOf(box, size, huge)).toMatchObject(expected);
  });

  test("of a small picture is enlarged to 256 tokens, of a large one made to fit", () => {
    const { width, height, scale } = cropOf([0, 0, 1000, 1000], { width: 20, height: 10 }, huge);
    expect([width, height]).toEqual([20, 10]);
    expect(width * scale * height * scale).toBeCloseTo(448 ** 2);
    expect(cropOf([0, 0, 1000, 1000], size, 3_000_000).scale).toBe(0.5);
  });
});

describe("a request", () => {
  test("declares the tool before the person's own, unless theirs has its name", () => {
    const toolsWith = (fields: object) => buildRequest([], { ...settings, ...fields }, undefined)["tools"] as object[];
    const own = [{ type: "function", function: { name } }];

    expect(toolsWith({})).toEqual([zoomTool]);
    expect(toolsWith({ useTools: true })).toMatchObject([zoomTool, { function: { name: "get_weather" } }]);
    expect(toolsWith({ useTools: true, tools: JSON.stringify(own) })).toEqual(own);
    expect(toolsWith({ zooms: undefined })).toBeUndefined();
  });

  test("holds what was cut out, before the words, and counts it", async () => {
    const turns = await answerZooms([makeUserTurn({ attachments: [makeAttachment()] }), asksFor(whole)], cuts);

    expect(buildRequest(turns, settings, undefined).messages.at(-1)).toEqual({
      role: "tool",
      tool_call_id: "call-0",
      content: [
        { type: "image_url", image_url: { url: cropUrl } },
        { type: "text", text: "This is the region [0, 0, 1000, 1000] of Picture 1." },
      ],
    });
    expect(isTooLarge(turns)).toBe(false);
    const large = await answerZooms([makeUserTurn({ attachments: [makeAttachment()] }), asksFor(whole)], () =>
      Promise.resolve("x".repeat(maxRequestBytes)),
    );
    expect(isTooLarge(large)).toBe(true);
  });
});

describe("the page", () => {
  const calling = (...calls: { id: string; name: string; arguments: string }[]) =>
    streamOf([
      {
        choices: [
          {
            delta: { tool_calls: calls.map(({ id, ...call }, index) => ({ index, id, function: call })) },
            finish_reason: "tool_calls",
          },
        ],
      },
    ]);
  const open = (reply: Reply, cut = cuts) => {
    const made = makePlayground(reply, linkTabs(), cut);
    made.playground.change({ zooms: true });
    return made;
  };
  /** Zooms in so often, then answers. */
  const zooming = (times: number): Reply => {
    let round = 0;
    return () => (round++ < times ? calling(zoomCall(whole, `call-${round}`)) : streamOf([contentChunk("A sign.", "stop")]));
  };

  test("goes on by itself until the answer is there, and keeps all of it", async () => {
    const { playground, asked, store } = open(zooming(2));
    playground.send("What is it?", [makeAttachment()]);
    const answer = await untilIdle(playground);

    expect(answer).toMatchObject({ state: "done", text: "A sign." });
    expect(asked.map(({ messages }) => messages.length)).toEqual([1, 3, 5]);
    expect(asked[2]!.messages.slice(0, 3)).toEqual(asked[1]!.messages); // so that the server knows it
    const kept = await store.load(playground.state.conversation.id);
    expect(kept?.turns).toMatchObject([
      {},
      { calls: [{ zoom: { crop: { url: cropUrl } } }] },
      { calls: [{ zoom: {} }] },
      { text: "A sign." },
    ]);
  });

  test("keeps what was cut out while the next answer is written, for other tabs and whatever comes", async () => {
    let isFirst = true;
    const { playground, store } = open((...asked) => {
      const reply = isFirst ? calling(zoomCall(whole)) : silent(...asked);
      isFirst = false;
      return reply;
    });
    playground.send("What is it?", [makeAttachment()]);

    const kept = async () => (await store.load(playground.state.conversation.id))?.turns;
    await expect.poll(kept).toMatchObject([{}, { calls: [{ zoom: { crop: { url: cropUrl } } }] }, { state: "running" }]);
    playground.stop();
    await untilIdle(playground);
  });

  test("does so in a conversation that is no longer shown, too, with its settings", async () => {
    const { playground, asked } = open(zooming(1));
    playground.change({ system: "Look well." });
    playground.send("What is it?", [makeAttachment()]);
    const { id } = playground.state.conversation;
    playground.startNew(defaultSettings);
    await untilIdle(playground);

    expect(playground.state.conversation.turns).toEqual([]);
    expect((await playground.load(id))?.turns.at(-1)).toMatchObject({ text: "A sign." });
    expect(asked).toHaveLength(2);
    for (const { messages, tools } of asked) expect([messages[0]?.content, tools]).toEqual(["Look well.", [zoomTool]]);
  });

  test(`stops after ${maxZoomRounds} rounds, and goes on when the person says so`, async () => {
    const { playground, asked } = open(zooming(maxZoomRounds + 1));
    playground.send("What is it?", [makeAttachment()]);
    const last = await untilIdle(playground);

    expect(asked).toHaveLength(maxZoomRounds + 1);
    expect(last.calls[0]).toEqual(zoomCall(whole, `call-${maxZoomRounds + 1}`));
    expect(goesOnByItself(playground.state.conversation.turns)).toBe(false);
    playground.giveResults([]);
    expect(await untilIdle(playground)).toMatchObject({ text: "A sign." });
    playground.giveResults([]);
    expect(asked).toHaveLength(maxZoomRounds + 2);
  });

  test("is stopped while it cuts, and then asks for nothing more", async () => {
    let finish: ((url: string) => void) | undefined;
    const cut = new Promise<string>((resolve) => (finish = resolve));
    const { playground, asked } = open(zooming(1), () => cut);
    playground.send("What is it?", [makeAttachment()]);
    await expect.poll(() => playground.state.conversation.turns.length).toBe(3);
    playground.stop();
    finish!(cropUrl);
    const stopped = await untilIdle(playground);

    expect(stopped).toMatchObject({ state: "stopped", text: "" });
    expect(asked).toHaveLength(1);
    playground.regenerate(stopped.id);
    expect(await untilIdle(playground)).toMatchObject({ text: "A sign." });
    expect(asked[1]!.messages.at(-1)).toMatchObject({ role: "tool", content: [{ type: "image_url" }, { type: "text" }] });
  });

  test("waits for the person where another tool was called too, and zooms when it goes on", async () => {
    const look = { id: "call-own", name: "get_weather", arguments: "{}" };
    let isFirst = true;
    const { playground, asked } = open(() => {
      const reply = isFirst ? calling(zoomCall(whole), look) : streamOf([contentChunk("Rain.", "stop")]);
      isFirst = false;
      return reply;
    });
    playground.change({ useTools: true });
    playground.send("What is it?", [makeAttachment()]);
    await untilIdle(playground);
    expect(asked).toHaveLength(1);
    playground.giveResults(["rain", "too many"]);
    expect(asked).toHaveLength(1);
    playground.giveResults(["rain"]);
    expect(await untilIdle(playground)).toMatchObject({ text: "Rain." });

    expect(asked[1]!.messages.slice(2)).toMatchObject([
      { tool_call_id: "call-0", content: [{ type: "image_url" }, {}] },
      { tool_call_id: "call-own", content: "rain" },
    ]);
  });
});
