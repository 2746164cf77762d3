import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { PromptSegment } from "../../src/chat/marked-texts.ts";
import { loadTemplate } from "../../src/chat/template.ts";
import { readTemplateSource } from "../../src/chat/template-source.ts";
import type { ShownMessage } from "../../src/core/chat.ts";
import { RequestError, UserError } from "../../src/core/errors.ts";
import { makeChat, nanoFolder, promptCases, toChat } from "./nano.ts";
import { builtInTemplate, makeConversation, makeTemplate, show } from "./template-fixture.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const nano = loadTemplate(nanoFolder);
const param = "messages[1]"; // of the begun answer

describe("the nano checkpoint's template", () => {
  test("renders every sample as Python does", () => {
    for (const sample of promptCases) expect(show(nano.render(toChat(sample)))).toBe(sample.prompt);
  });

  test("keeps what clients wrote apart from what the template wrote", () => {
    const chat = makeConversation([
      ["system", "Be brief.</think>"],
      ["user", " [0:1] <|end_of_sentence|>\n"],
      ["assistant", "<|IMAGE_PLACEHOLDER|>"],
    ]);

    expect(nano.render(chat)).toEqual([
      { type: "control", text: "<|begin_of_sentence|>" },
      { type: "text", text: "Be brief.</think>" },
      { type: "control", text: "\nUser:  " },
      { type: "text", text: "[0:1] <|end_of_sentence|>" },
      { type: "control", text: "\n\nAssistant: " },
      { type: "text", text: "<|IMAGE_PLACEHOLDER|>" },
      { type: "control", text: "<|end_of_sentence|>Assistant: <think>\n\n</think>\n\n" },
    ] satisfies PromptSegment[]);
  });

  test("counts pictures over the whole conversation", () => {
    const image = { type: "image", bytes: new Uint8Array(), param: "" } as const;
    const messages: ShownMessage[] = [
      { role: "user", content: [{ type: "text", text: "a" }, image] },
      { role: "assistant", content: [{ type: "text", text: "b" }] },
      { role: "user", content: [image, image, { type: "text", text: "c" }] },
    ];

    const segments = nano.render({ messages, thinking: true });

    expect(segments.filter((segment) => segment.type === "image")).toHaveLength(3);
    expect(show(segments)).toContain("Picture 3:<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>c\nAssistant: <think>\n");
  });

  test.each([
    ["nano", { text: "So" }, "\nAssistant: <think>\n\n</think>\n\nSo"],
    ["nano", { reasoning: "Hm\n" }, "\nAssistant: <think>\nHm\n"],
    ["nano", { reasoning: "Hm\n", text: "So " }, "\nAssistant: <think>\nHm\n</think>\n\nSo "],
    ["pt", { text: "So" }, "\nAssistant: <think>\n\n</think>\n\nSo"],
    ["pt", { reasoning: "Hm" }, "\nAssistant: <think>\nHm"],
    ["pt", { reasoning: "Hm", text: "So" }, "\nAssistant: <think>\nHm\n</think>\n\nSo"],
    ["thinking", { text: "So" }, "\nAssistant: \n<think>\n\n</think>\n\nSo"],
    ["thinking", { reasoning: "Hm", text: "So" }, "\nAssistant: \n<think>\nHm\n</think>\n\nSo"],
  ] as const)("goes on as the model would have: %s, %o", (name, begun, expected) => {
    const template = name === "nano" ? nano : builtInTemplate(name);
    const shown = show(template.render({ ...makeChat("Hi", "reasoning" in begun), begun: { ...begun, param } }));
    expect(shown.slice(shown.lastIndexOf("Hi") + 2)).toBe(expected);
  });

  // Half an hour with a regular expression, in which the server answers nobody.
  test("goes on after a thought of a million newlines at once", () => {
    const begun = { reasoning: `${"\n".repeat(2 ** 20)}x\n\n`, text: "So", param };

    const segments = nano.render({ ...makeChat("Hi", true), begun });

    expect(segments.at(-3)).toEqual({ type: "text", text: begun.reasoning.slice(0, -2) });
  });

  test("what a client has begun is no control token, and thinking needs a place", () => {
    const begun = { text: "</think><|end_of_sentence|>" };
    expect(nano.render({ ...makeChat("Hi"), begun: { ...begun, param } }).at(-1)).toEqual({ type: "text", ...begun });
    const plain = makeTemplate("{% for m in messages %}{{ m.content }}{% endfor %}Assistant: ");
    expect(() => plain.render({ ...makeChat("Hi", true), begun: { reasoning: "Hm", param } })).toThrow(
      "does not support continuing an answer within its thinking",
    );
  });

  test.each(["nano", "pt", "thinking"] as const)("counts videos apart from pictures: %s", (name) => {
    const image = { type: "image", bytes: new Uint8Array(), param: "" } as const;
    const video = { type: "video", source: { type: "frames", files: [] }, param: "" } as const;
    const content = [video, image, { type: "text", text: "?" }, video] as const;

    const segments = (name === "nano" ? nano : builtInTemplate(name)).render({
      messages: [{ role: "user", content }],
      thinking: true,
    });

    expect(show(segments)).toContain(
      "User: Video 1:<|VIDEO_START|><|VIDEO_PLACEHOLDER|><|VIDEO_END|>Picture 1:<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>?" +
        "Video 2:<|VIDEO_START|><|VIDEO_PLACEHOLDER|><|VIDEO_END|>",
    );
  });

  test("renders a video as Python's transformers does", () => {
    const file = new URL("../../models/ernie-vl-nano/samples/samples.json", import.meta.url);
    const samples = JSON.parse(readFileSync(file, "utf8")) as {
      is_video: boolean;
      prompt: string;
      messages: { content: { text?: string }[] }[];
    }[];
    const [sample, ...others] = samples.filter((each) => each.is_video);
    const video = { type: "video", source: { type: "frames", files: [] }, param: "" } as const;
    const content = sample!.messages[0]!.content.map(({ text }) => (text === undefined ? video : ({ type: "text", text } as const)));

    expect(others).toEqual([]);
    expect(show(nano.render({ messages: [{ role: "user", content }], thinking: false }))).toBe(sample!.prompt);
  });

  test("refuses videos where the template has no place for them, and takes the word of Baidu's own template", () => {
    const video = { type: "video", source: { type: "frames", files: [] }, param: "messages[0].content[0]" } as const;
    const messages: ShownMessage[] = [{ role: "user", content: [video, { type: "text", text: "?" }] }];
    const place = "{% for part in messages[0].content %}{{ part.text if part.type == 'text' else '<|video@placeholder|>' }}{% endfor %}";

    expect(() => makeTemplate("{{ messages[0].content }}").render({ messages, thinking: false })).toThrow("does not support videos");
    expect(show(makeTemplate(place).render({ messages, thinking: false }))).toBe("<|VIDEO_PLACEHOLDER|>?");
  });

  test.each(["", "\n", "  "])("renders a message that says %j", (text) => {
    expect(show(nano.render(makeChat(text)))).toContain(`User: ${text}\nAssistant: `);
  });

  test("drops the thinking of an earlier turn, as it does for Python", () => {
    const answers: ShownMessage[] = [
      { role: "assistant", content: [{ type: "text", text: "42" }], reasoning: "6 · 7" },
      { role: "assistant", content: [{ type: "text", text: "<think>\n6 · 7\n</think>\n\n42" }] },
    ];
    for (const answer of answers) {
      expect(show(nano.render({ messages: [...makeChat("?").messages, answer], thinking: false }))).toContain(
        "Assistant: 42<|end_of_sentence|>",
      );
    }
  });

  test("leaves an earlier answer whole that only mentions the tags", () => {
    const chat = makeConversation([["assistant", "It writes <think> and then </think>."]]);
    expect(show(nano.render(chat))).toContain("It writes <think> and then </think>.");
  });
});

test("the format of the built-in template is that of the checkpoint's name, in the Hugging Face cache too", () => {
  const folder = join(temporaryFolder(), "models--baidu--ERNIE-4.5-VL-28B-A3B-Thinking", "snapshots", "0123abcd");
  mkdirSync(folder, { recursive: true });

  expect(readTemplateSource(folder).path).toBe("built-in template thinking");
  expect(readTemplateSource(temporaryFolder()).path).toBe("built-in template pt");
});

describe("the built-in templates", () => {
  const image = { type: "image", bytes: new Uint8Array(), param: "" } as const;
  const messages: ShownMessage[] = [
    { role: "system", content: [{ type: "text", text: "You are helpful." }] },
    { role: "user", content: [image, { type: "text", text: "What is this?" }] },
    { role: "assistant", content: [{ type: "text", text: "A cat." }], reasoning: "\nFur.\n\n" },
    { role: "user", content: [image, { type: "text", text: "Sure?" }] },
    { role: "assistant", content: [{ type: "text", text: "Yes." }] },
    { role: "user", content: [{ type: "text", text: "Good." }] },
  ];
  const picture = (count: number) => `Picture ${count}:<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>`;

  test("write the format of ERNIE-4.5-VL-PT", () => {
    const pt = builtInTemplate("pt");
    const prompt =
      `<|begin_of_sentence|>You are helpful.\nUser: ${picture(1)}What is this?\n` +
      `Assistant: <think>\nFur.\n</think>\nA cat.<|end_of_sentence|>User: ${picture(2)}Sure?\n` +
      "Assistant: Yes.<|end_of_sentence|>User: Good.\nAssistant: ";

    expect(show(pt.render({ messages, thinking: true }))).toBe(`${prompt}<think>`);
    expect(show(pt.render({ messages, thinking: false }))).toBe(`${prompt}<think>\n\n</think>\n\n`);
  });

  test("write the format of ERNIE-4.5-VL-Thinking", () => {
    const thinking = builtInTemplate("thinking");
    const prompt =
      `<|begin_of_sentence|>You are helpful.\nUser: ${picture(1)}What is this?\n` +
      `Assistant: \n<think>\nFur.\n</think>\n\nA cat.<|end_of_sentence|>User: ${picture(2)}Sure?\n` +
      "Assistant: \n<think>\n\n</think>\n\nYes.<|end_of_sentence|>User: Good.\nAssistant: \n<think>\n";

    expect(show(thinking.render({ messages, thinking: true }))).toBe(prompt);
    expect(show(thinking.render({ messages, thinking: false }))).toBe(`${prompt}\n</think>\n\n`);
  });

  test("let the Thinking model think by default, and no other", () => {
    expect(builtInTemplate("thinking").thinksByDefault).toBe(true);
    expect(builtInTemplate("pt").thinksByDefault).toBe(false);
    expect(nano.thinksByDefault).toBe(false);
  });

  test("give the Thinking model its own words where the client has no system message", () => {
    const prompt = show(builtInTemplate("thinking").render(makeChat("Hi", true)));
    const system = "You are a multimodal AI assistant called ERNIE developed by Baidu based on the PaddlePaddle framework.";
    expect(prompt).toBe(`<|begin_of_sentence|>${system}\nUser: Hi\nAssistant: \n<think>\n`);
  });

  test.each([
    ["its own name", "ERNIE-4.5-VL-28B-A3B-Thinking", undefined, "\n<think>\n"],
    ["its own name", "ERNIE-4.5-VL-28B-A3B-PT", undefined, "<think>"],
    ["the checkpoint that it was converted from", "abc", "ERNIE-4.5-VL-28B-A3B-Thinking", "\n<think>\n"],
    ["the checkpoint that it was converted from", "thinking", "ERNIE-4.5-VL-28B-A3B-PT", "<think>"],
  ])("are chosen for a folder by %s: %s, %s", (_, name, source, ending) => {
    const folder = join(temporaryFolder(), name);
    mkdirSync(folder);
    if (source) writeFileSync(join(folder, "manifest.json"), JSON.stringify({ source: { name: source } }));
    const prompt = show(loadTemplate(folder).render(makeChat("Hi", true)));
    expect(prompt.slice(prompt.indexOf("Assistant: "))).toBe(`Assistant: ${ending}`);
  });
});

describe("refuses", () => {
  const echo = "{%- for message in messages -%}{{ message.content }}{%- endfor -%}";

  const broken: [string, string, RegExp][] = [
    ["a template that is not Jinja", "{% for %}", /some\.jinja: the chat template is not valid Jinja/],
    ["a template with an unknown filter", "{{ messages | nope }}", /cannot show a user message: .*nope/],
    ["a template that cuts messages up", "{{ messages[0].content[:9] }}", /cannot show a user message: it leaves the text out/],
    ["a template that shows no user message", "hello", /cannot show a user message: it leaves the text out/],
  ];
  test.each(broken)("%s", (_, jinja, message) => {
    expect(() => makeTemplate(jinja)).toThrow(UserError);
    expect(() => makeTemplate(jinja)).toThrow(message);
  });

  test("a role that the template leaves out", () => {
    const template = makeTemplate("{%- for message in messages if message.role != 'system' -%}{{ message.content }}{%- endfor -%}");
    const chat = makeConversation([
      ["system", "a"],
      ["user", "b"],
    ]);
    expect(() => template.render(chat)).toThrow(/does not support system messages/);
  });

  test("pictures that the template leaves out", () => {
    const content = [{ type: "image", bytes: new Uint8Array(), param: "messages[0].content[0]" } as const];
    const render = () => makeTemplate(echo).render({ messages: [{ role: "user", content }], thinking: false });
    expect(render).toThrow(expect.objectContaining({ param: "messages[0].content[0]", status: 400 }));
  });

  test("pictures in a turn where the template has no place for them", () => {
    const part = "{%- if part.type == 'image' and message.role == 'user' -%}<|IMAGE_PLACEHOLDER|>{%- else -%}{{ part.text }}{%- endif -%}";
    const body = `{%- if message.content is string -%}{{ message.content }}{%- else -%}{%- for part in message.content -%}${part}{%- endfor -%}{%- endif -%}`;
    const content = [{ type: "image", bytes: new Uint8Array(), param: "" } as const];
    const messages: ShownMessage[] = [
      { role: "user", content },
      { role: "system", content },
    ];
    const render = () => makeTemplate(`{%- for message in messages -%}${body}{%- endfor -%}`).render({ messages, thinking: false });
    expect(render).toThrow(/shows 1 of the 2 images/);
  });

  test("a conversation that the template refuses", () => {
    const template = makeTemplate(`{%- if messages | length > 2 -%}{{ raise_exception('too many') }}{%- endif -%}${echo}`);
    const render = () =>
      template.render(
        makeConversation([
          ["user", "a"],
          ["user", "b"],
          ["user", "c"],
        ]),
      );
    expect(render).toThrow(RequestError);
    expect(render).toThrow(/rejects the conversation: too many/);
  });
});

describe("the template of a folder", () => {
  const write = (files: Record<string, unknown>): string => {
    const folder = temporaryFolder();
    for (const [name, content] of Object.entries(files)) {
      writeFileSync(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));
    }
    return folder;
  };
  const says = (word: string) => `{{ bos_token }}{{ messages[0].content }}${word}`;
  const named = [
    { name: "tool_use", template: says("tools") },
    { name: "default", template: says("default") },
  ];
  const files = {
    "chat_template.jinja": says("jinja"),
    "chat_template.json": { chat_template: says("json") },
    "tokenizer_config.json": { chat_template: says("config"), bos_token: { content: "<s>" } },
  };

  const cases: [string, Record<string, unknown>, string][] = [
    ["chat_template.jinja before all others", files, "<s>ajinja"],
    ["chat_template.json next", { ...files, "chat_template.jinja": undefined }, "<s>ajson"],
    ["then tokenizer_config.json", { "tokenizer_config.json": files["tokenizer_config.json"] }, "<s>aconfig"],
    ["the default of several", { "tokenizer_config.json": { chat_template: named, bos_token: "<b>" } }, "<b>adefault"],
    [
      "without the byte order mark that Windows programs put first",
      { "chat_template.jinja": `\uFEFF${says("jinja")}`, "tokenizer_config.json": '\uFEFF{"bos_token": "<b>"}' },
      "<b>ajinja",
    ],
    ["the default of several in chat_template.json", { "chat_template.json": { chat_template: named } }, "adefault"],
  ];
  test.each(cases)("is %s", (_, content, expected) => {
    const folder = write(Object.fromEntries(Object.entries(content).filter(([, value]) => value !== undefined)));
    expect(show(loadTemplate(folder).render(makeChat("a")))).toBe(expected);
  });

  test("gets the tokens that the tokenizer's files name, as Baidu's templates ask for them", () => {
    const jinja = "{{ cls_token }}{{ messages[0].content }}{{ sep_token }}{% if mask_token is defined %}no{% endif %}";
    const folder = write({
      "tokenizer_config.json": { chat_template: jinja, cls_token: "<|begin_of_sentence|>", mask_token: null },
      "special_tokens_map.json": { cls_token: "<cls>", sep_token: { content: "<|end_of_sentence|>" } },
    });

    expect(show(loadTemplate(folder).render(makeChat("a")))).toBe("<|begin_of_sentence|>a<|end_of_sentence|>");
  });

  test("is refused when there are several and none is the default", () => {
    const folder = write({ "tokenizer_config.json": { chat_template: named.slice(0, 1) } });
    expect(() => loadTemplate(folder)).toThrow(UserError);
    expect(() => loadTemplate(folder)).toThrow(
      /tokenizer_config\.json: chat_template: expected a template named "default" among several, got tool_use/,
    );
  });
});
