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
  ["Fields that chat completions call so", movedFields],
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

\`POST /v1/responses\` speaks to OpenAI's SDKs and to what is built on them:

\`\`\`ts run
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://127.0.0.1:8000/v1", apiKey: "unused" });
const first = await client.responses.create({ model: "ernie-vl-nano", input: "What is the weather in Toronto?" });
const second = await client.responses.create({ model: "ernie-vl-nano", input: "And in Oslo?", previous_response_id: first.id });
\`\`\`

For Codex, start the server with a model that calls tools and a context that holds long prompts (\`--max-model-len\`), and write in its \`config.toml\`

\`\`\`
model = "NAME"
model_provider = "ernie"
model_context_window = 131072        # as /v1/models tells it

[model_providers.ernie]
name = "ERNIE"
base_url = "http://127.0.0.1:8000/v1"
wire_api = "responses"
\`\`\`

where NAME is a served name; \`env_key\` names the variable that holds the key, where the server has one. Its tools work, those of MCP servers too: their
namespaces are part of the names that the model knows, and come back as \`namespace\`. What OpenAI runs (web search, making pictures) is left out.

## Answers

- \`output\` holds items in the order in which the model wrote them: \`reasoning\` with what it thought, in full, as \`reasoning_text\`; \`message\`;
  \`function_call\` and \`custom_tool_call\`. They can be sent back as they are. \`status\` is \`completed\`, \`incomplete\` (the limit or the context ended), \`failed\` or \`cancelled\`.
- \`POST /v1/responses/input_tokens\` takes the same body and tells the length of its prompt, without an answer.
- A stream has OpenAI's events, each under its name and numbered; the last one is \`response.completed\`, \`response.incomplete\` or
  \`response.failed\`, without \`[DONE]\`. Where the server fails, an event \`error\` comes first, at which the SDK throws. Its last response is the
  one that would have come without a stream.

## Stored responses

The last ${defaultResponseStore.toLocaleString("en")} responses (\`--response-store N\`; 0 = none) of up to 256 MiB together are kept **in memory**, with their input and
its pictures, and nowhere else: they are gone when the server ends, and those not used for longest leave first. \`"store": false\` keeps one
out. Each API key sees only its own; to all others, an id is unknown (404).

| | |
|---|---|
| \`previous_response_id\` | what was said up to that response comes before the input; its tokens and pictures are still in the KV cache where there was room. Every response before it must still be stored |
| \`GET /v1/responses/{id}\` | the response |
| \`GET /v1/responses/{id}/input_items\` | the input of its own request, in pages: \`limit\`, \`order\`, \`after\` |
| \`DELETE /v1/responses/{id}\` | forgets it, and with it how the responses after it began: they cannot be continued |
| \`POST /v1/responses/{id}/cancel\` | ends a stream that is running: it closes with what it has as \`response.incomplete\`, \`status\` \`cancelled\`. A response that has ended is a 400 |

## Tables

Below is what each field does. This page is written by [a test](../test/api/responses-fields.test.ts) that proves each line; the last column names
another test that shows the effect. **Ignored** fields are accepted with any value listed, as is every field not listed; **refused** ones are a 400
that names the field.`.split("\n");
