// Proves each line of the table of fields of the Messages API, and that docs/messages.md says the same.

import { expect, test } from "vitest";
import { makeApp, post } from "./make-app.ts";
import { blockFields, ownFields, requestFields } from "./messages-fields.ts";
import { type Outcome, testTables, type TitledTable, toSection } from "./prove-fields.ts";

const tables: readonly TitledTable[] = [
  ["Fields", requestFields],
  ["Fields of this server", ownFields],
  ["Inside of messages", blockFields],
];

/** The fresh seed of each request is left out. */
async function send(sent: object): Promise<Outcome> {
  const { app, calls } = makeApp();
  const response = await app.request(
    "/v1/messages",
    post({ max_tokens: 100, messages: [{ role: "user", content: "Hi" }], seed: 1, ...sent }),
  );
  const answer = await response.text();
  const [call] = calls;
  const blamed = response.ok ? "" : (JSON.parse(answer) as { error: { message: string } }).error.message.split(":")[0]!;
  return {
    status: response.status,
    answer,
    stable: answer.replaceAll(/"(msg)_[^"]*"/g, ""),
    asked: call && { chat: call.chat, options: call.options },
    blamed,
  };
}

testTables(tables, send, (name) => (name in blockFields ? "messages" : name));

test("docs/messages.md says the same; npx vitest run test/api/messages-fields.test.ts -u writes it", async () => {
  const page = [...introduction, ...tables.flatMap(toSection)];
  await expect(`${page.join("\n")}\n`).toMatchFileSnapshot("../../docs/messages.md");
});

const introduction = `# Anthropic's Messages API

\`POST /v1/messages\`, \`POST /v1/messages/count_tokens\` and \`GET /v1/models\` speak to Anthropic's SDKs and to what is built on them:

\`\`\`ts run
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: "http://127.0.0.1:8000", apiKey: "unused" });
const messages = [{ role: "user" as const, content: "What is the capital of France?" }];
const answer = await client.messages.create({ model: "ernie-vl-nano", max_tokens: 100, messages });
\`\`\`

For Claude Code, start the server with a model that calls tools and a context that holds long prompts (\`--max-model-len\`), and set

\`\`\`
ANTHROPIC_BASE_URL=http://127.0.0.1:8000
ANTHROPIC_AUTH_TOKEN=unused
ANTHROPIC_MODEL=NAME
ANTHROPIC_DEFAULT_OPUS_MODEL=NAME
ANTHROPIC_DEFAULT_SONNET_MODEL=NAME
ANTHROPIC_DEFAULT_HAIKU_MODEL=NAME
\`\`\`

where NAME is a served name. Keys come as \`x-api-key\` or as a bearer token; \`anthropic-version\`, \`anthropic-beta\` and \`?beta=true\` mean nothing
here, but that a request with \`anthropic-version\` gets models and errors in Anthropic's form on every route.

## Answers

- \`tool_use\` blocks are always complete, and their \`input\` is an object: a call is held back until it ends, so its input comes in one
  \`input_json_delta\`. A call that \`max_tokens\` cuts, or that is no JSON, is text. \`strict\` tools and the choices \`any\` and \`tool\` hold calls to
  their schemas token by token.
- \`thinking\` blocks are the model's own words; their \`signature\` is a constant and not checked when it comes back.
- \`stop_reason\` is \`end_turn\`, \`tool_use\`, \`stop_sequence\`, \`max_tokens\`, or \`model_context_window_exceeded\` where the context ended before
  \`max_tokens\` did.
- \`usage.cache_read_input_tokens\` are the tokens of the prompt that were still in memory; \`input_tokens\` are the others.
- Errors are \`{"type": "error", "error": {"type", "message", "details"}, "request_id"}\`; \`details.error_code\` is the code that other routes give. A full
  queue is 429, a server that is not ready 503; both say when to come back, and the SDK does.

## Documents

The model reads a \`document\` between tags, its title and context first, where it has them, each piece of its content on a line of its own:

\`\`\`
<document>
<title>Report</title>
<context>Of May.</context>
It rained.
</document>
\`\`\`

Of a \`search_result\` it reads \`<source>\`, \`<title>\` and texts between \`<search_result>\` and \`</search_result>\`. Pictures may be pieces of a document. Of a
[PDF](documents.md) it sees each page and reads its text. Answers cite nothing.

## Tables

Below is what each field does. This page is written by [a test](../test/api/messages-fields.test.ts) that proves each line; the last column names
another test that shows the effect. **Ignored** fields are accepted with any value, as is every field not listed; **refused** ones are a 400 that
names the field.`.split("\n");
