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

\`POST /v1/messages\`, \`POST /v1/messages/count_tokens\` and \`GET /v1/models\` work with Anthropic's SDKs and with tools built on them:

\`\`\`ts run
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: "http://127.0.0.1:8000", apiKey: "unused" });
const messages = [{ role: "user" as const, content: "What is the capital of France?" }];
const answer = await client.messages.create({ model: "ernie-vl-nano", max_tokens: 100, messages });
\`\`\`

For Claude Code, start the server with a model that can call tools and a context large enough for long prompts (\`--max-model-len\`). Then set, with
NAME a served name:

\`\`\`
ANTHROPIC_BASE_URL=http://127.0.0.1:8000
ANTHROPIC_AUTH_TOKEN=unused
ANTHROPIC_MODEL=NAME
ANTHROPIC_DEFAULT_OPUS_MODEL=NAME
ANTHROPIC_DEFAULT_SONNET_MODEL=NAME
ANTHROPIC_DEFAULT_HAIKU_MODEL=NAME
CLAUDE_CODE_MAX_CONTEXT_TOKENS=131072        # as /v1/models tells it
\`\`\`

Without the last line, Claude Code takes the context for 1,000,000 tokens, and shortens a conversation only after the server has refused it. Its
prompt has about 49,000 characters; where that takes long to compute, \`claude --tools Bash,Edit,Read\` leaves 17,000.

Send a key as \`x-api-key\` or as a bearer token. \`anthropic-beta\` and \`?beta=true\` are ignored. A request with \`anthropic-version\` (any value) gets
models and errors in Anthropic's format on every route.

Version 1 of the SDKs has no parameters \`temperature\`, \`top_p\` and \`top_k\`. In Python, send them in \`extra_body\`; in JavaScript, write them beside
the others, although the types do not have them.

## Answers

- \`tool_use\` blocks are always complete, and their \`input\` is an object. The server holds a call back until it is complete, so its input comes in one
  \`input_json_delta\`. A call that \`max_tokens\` cuts off, or that is not JSON, is returned as text. With \`strict\` tools and the choices \`any\` and
  \`tool\`, calls are constrained to their schemas token by token.
- \`thinking\` blocks are the model's own words. Their \`signature\` is a constant, and is not checked when it comes back.
- \`stop_reason\` is \`end_turn\`, \`tool_use\`, \`stop_sequence\`, \`max_tokens\`, or \`model_context_window_exceeded\` if the context ended before \`max_tokens\`.
- \`usage.cache_read_input_tokens\` counts the prompt tokens found in the cache, \`input_tokens\` the others.
- Errors are \`{"type": "error", "error": {"type", "message", "details"}, "request_id"}\`, where \`details.error_code\` is the code that other routes
  return. A full queue is a 429, a server that is not ready a 503. Both say when to retry, and the SDK does.

## Documents

The model reads a \`document\` between tags, starting with its title and context if it has them. Each piece of its content is on its own line:

\`\`\`
<document>
<title>Report</title>
<context>Of May.</context>
It rained.
</document>
\`\`\`

A \`search_result\` becomes \`<source>\`, \`<title>\` and texts between \`<search_result>\` and \`</search_result>\`. Pictures may be pieces of a document. For
a [PDF](documents.md), the model sees each page and reads its text. Answers contain no citations.

## Tables

The tables show what each field does. [A test](../test/api/messages-fields.test.ts) writes this page and proves each line; the last column names
another test that shows the effect.

- **Ignored** fields are accepted with any value, as is every field not listed.
- **Refused** fields get a 400 that names the field.`.split("\n");
