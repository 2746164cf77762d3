// Proves each line of the table of fields of the Responses API, and that docs/responses.md says the same.

import { expect, test } from "vitest";
import { defaultResponseStore } from "../../src/api/app-options.ts";
import { type Envelope, helloEvents } from "./make-app.ts";
import { type Outcome, testTables, type TitledTable, toSection } from "./prove-fields.ts";
import { makeResponsesApp } from "./responses-app.ts";
import { anEarlierId, itemFields, movedFields, ownFields, requestFields } from "./responses-fields.ts";

const tables: readonly TitledTable[] = [
  ["Fields", requestFields],
  ["Fields of this server", ownFields],
  ["Fields with another name in Chat Completions", movedFields],
  ["Items and their parts", itemFields],
];

/** The fresh seed of each request is left out. */
async function send(sent: object): Promise<Outcome> {
  const { send: post, calls } = makeResponsesApp(helloEvents);
  const earlier = (await (await post({ input: "Hi" })).json()) as { id: string; output: { id: string }[] };
  const body = JSON.stringify({ input: "Hi", seed: 1, ...sent });
  const named = body.replace(`msg_${anEarlierId}`, earlier.output[0]!.id).replace(anEarlierId, earlier.id);
  const response = await post(JSON.parse(named) as object);
  const answer = await response.text();
  const call = calls[1];
  return {
    status: response.status,
    answer,
    stable: answer.replaceAll(/"(resp|msg)_[^"]*"/g, "").replaceAll(/"(created|completed)_at":\d+/g, ""),
    asked: call && { chat: call.chat, options: call.options },
    blamed: response.ok ? "" : ((JSON.parse(answer) as Envelope).error.param ?? ""),
  };
}

testTables(tables, send, (name) => (name in itemFields ? "input" : name));

test("docs/responses.md says the same; npx vitest run test/api/responses-fields.test.ts -u writes it", async () => {
  const page = [...introduction, ...tables.flatMap(toSection)];
  await expect(`${page.join("\n")}\n`).toMatchFileSnapshot("../../docs/responses.md");
});

const introduction = `# The Responses API

\`POST /v1/responses\` works with OpenAI's SDKs and with tools built on them:

\`\`\`ts run
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://127.0.0.1:8000/v1", apiKey: "unused" });
const first = await client.responses.create({ model: "ernie-vl-nano", input: "What is the weather in Toronto?" });
const second = await client.responses.create({ model: "ernie-vl-nano", input: "And in Oslo?", previous_response_id: first.id });
\`\`\`

For Codex, start the server with a model that can call tools and a context large enough for long prompts (\`--max-model-len\`). Then add to Codex's
\`config.toml\`, with NAME a served name:

\`\`\`
model = "NAME"
model_provider = "ernie"
model_context_window = 131072        # as /v1/models tells it

[model_providers.ernie]
name = "ERNIE"
base_url = "http://127.0.0.1:8000/v1"
wire_api = "responses"
\`\`\`

If the server has a key, \`env_key\` names the variable that holds it. Codex warns that it has no metadata for the model, and works without. Its own
tools work, and so do MCP servers' tools: the model sees their namespaces as part of the tools' names, and calls come back with \`namespace\`. Tools
that OpenAI runs itself (web search, image generation) are left out.

## Answers

- \`output\` holds items in the order in which the model wrote them: \`reasoning\` (the full thinking, as \`reasoning_text\` in \`content\`,
  or, if the request has \`reasoning.summary\`, as \`summary_text\` in \`summary\`), \`message\`, \`function_call\` and \`custom_tool_call\`. You can send them
  back unchanged.
- \`status\` is \`completed\`, \`incomplete\` (the token limit or the context ended), \`failed\` or \`cancelled\`.
- A stream has OpenAI's events, each with its name and number, and no \`[DONE]\`. The last event is \`response.completed\`, \`response.incomplete\` or
  \`response.failed\`, with the same response as without streaming. If the server fails, an \`error\` event comes first, and the SDK throws.
- \`POST /v1/responses/input_tokens\` takes the same body and returns the length of the prompt, without an answer.

## Stored responses

The server keeps the last ${defaultResponseStore.toLocaleString("en")} responses (\`--response-store N\`; 0 = none), up to 256 MiB together, with their
input and its pictures. They are kept **in memory** only: they are gone when the server ends. Beyond the limit, the API key that holds the most loses the ones that it has not used for longest.
\`"store": false\` keeps a response out. Each API key sees only its own responses; any other id is unknown (404).

| | |
|---|---|
| \`previous_response_id\` | continues the conversation up to that response. Every response before it must still be stored; its tokens and pictures are still in the KV cache if there was room |
| \`GET /v1/responses/{id}\` | the response |
| \`GET /v1/responses/{id}/input_items\` | the input of its own request, in pages: \`limit\`, \`order\`, \`after\` |
| \`DELETE /v1/responses/{id}\` | deletes it. Responses that continued it can no longer be continued, because their beginning is gone |
| \`POST /v1/responses/{id}/cancel\` | ends a running stream: it closes with what it has as \`response.incomplete\`, with \`status\` \`cancelled\`. A finished response gets a 400 |

## Tables

The tables show what each field does. [A test](../test/api/responses-fields.test.ts) writes this page and proves each line; the last column names
another test that shows the effect.

- **Ignored** fields are accepted with any value listed, as is every field not listed.
- **Refused** fields get a 400 that names the field.`.split("\n");
