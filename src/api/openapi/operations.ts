// What each route does, for the API's document: by method and path, as in the table of app.ts.

import type { AnswerName, RequestName } from "./schemas.ts";

export type Operation = {
  /** What generated clients call it. */
  readonly id: string;
  readonly group: "Chat" | "Completions" | "Responses" | "Messages" | "Models" | "Tokens" | "Server" | "Pages";
  readonly summary: string;
  readonly description?: string;
  /** By name, what stands in the path. */
  readonly pathFields?: Readonly<Record<string, string>>;
  readonly query?: RequestName;
  /** The body: its schema, and one that is answered. */
  readonly request?: RequestName;
  readonly example?: object;
  /** JSON in one of these forms, or another type. */
  readonly answers: readonly AnswerName[] | "application/json" | "text/html" | "text/plain" | "*/*";
  /** Each event of the stream that a body with `"stream": true` asks for. */
  readonly streams?: AnswerName;
  readonly streamEnd?: string;
  /** Besides those that follow from the rest. */
  readonly errors?: readonly number[];
  /** A server that is not ready says so in the same form, with a 503. */
  readonly isHealth?: boolean;
  /** Answered by the model, for which a request may have to wait. */
  readonly isGenerating?: boolean;
};

const question = "What is the capital of Italy?";
const messages = [{ role: "user", content: question }];
const doneMark = "The stream ends with `data: [DONE]`. An error in the middle is a frame in the error envelope.";
const namedEvents = "Events are named by their type.";
const responseId = { id: "The id of a response that is kept in memory." };
const modelName = { id: "A served name; slashes in it as they are, or escaped." };
const inDialect = "With the header `anthropic-version`, in Anthropic's form.";

export const operations: Readonly<Record<string, Operation>> = {
  "POST /v1/chat/completions": {
    id: "createChatCompletion",
    group: "Chat",
    summary: "Answer a conversation",
    description: "OpenAI's chat completions: text and pictures, tools, structured output, thinking.",
    request: "ChatCompletionRequest",
    example: { messages, temperature: 0 },
    answers: ["ChatCompletion"],
    streams: "ChatCompletionChunk",
    streamEnd: doneMark,
    isGenerating: true,
  },
  "POST /v1/completions": {
    id: "createCompletion",
    group: "Completions",
    summary: "Go on with a text",
    description: "OpenAI's older completions: no template, no roles.",
    request: "CompletionRequest",
    example: { prompt: "The capital of Italy is", max_tokens: 8, temperature: 0 },
    answers: ["Completion"],
    streams: "CompletionChunk",
    streamEnd: doneMark,
    isGenerating: true,
  },
  "POST /v1/responses": {
    id: "createResponse",
    group: "Responses",
    summary: "Answer, and keep the answer",
    description: "OpenAI's Responses: a conversation can go on from a stored response.",
    request: "ResponsesRequest",
    example: { input: question, temperature: 0 },
    answers: ["Response"],
    streams: "ResponseEvent",
    streamEnd: `${namedEvents} The last is \`response.completed\`, \`response.incomplete\` or \`response.failed\`.`,
    isGenerating: true,
  },
  "POST /v1/responses/input_tokens": {
    id: "countInputTokens",
    group: "Responses",
    summary: "Count the tokens of what a response would be asked",
    request: "ResponsesRequest",
    example: { input: question },
    answers: ["ResponseInputTokens"],
  },
  "GET /v1/responses/:id": {
    id: "getResponse",
    group: "Responses",
    summary: "Read a stored response",
    pathFields: responseId,
    answers: ["Response"],
    errors: [400, 404],
  },
  "DELETE /v1/responses/:id": {
    id: "deleteResponse",
    group: "Responses",
    summary: "Forget a stored response",
    pathFields: responseId,
    answers: ["DeletedResponse"],
    errors: [404],
  },
  "POST /v1/responses/:id/cancel": {
    id: "cancelResponse",
    group: "Responses",
    summary: "Stop a response that is being made",
    pathFields: responseId,
    answers: ["Response"],
    errors: [400, 404],
  },
  "GET /v1/responses/:id/input_items": {
    id: "listInputItems",
    group: "Responses",
    summary: "Read what a stored response was asked",
    pathFields: responseId,
    query: "InputItemsQuery",
    answers: ["ResponseInputItems"],
    errors: [400, 404],
  },
  "POST /v1/messages": {
    id: "createMessage",
    group: "Messages",
    summary: "Answer a conversation, for Anthropic's clients",
    description: "Anthropic's Messages: text and pictures, tools, structured output, thinking blocks.",
    request: "MessagesRequest",
    example: { max_tokens: 100, messages, temperature: 0 },
    answers: ["Message"],
    streams: "MessageEvent",
    streamEnd: `${namedEvents} The last is \`message_stop\`; an error is an event named \`error\`.`,
    isGenerating: true,
  },
  "POST /v1/messages/count_tokens": {
    id: "countTokens",
    group: "Messages",
    summary: "Count the tokens of a prompt",
    request: "CountTokensRequest",
    example: { messages },
    answers: ["TokenCount"],
  },
  "GET /v1/models": {
    id: "listModels",
    group: "Models",
    summary: "List the served model",
    description: inDialect,
    answers: ["ModelList", "ModelPage"],
  },
  "GET /v1/models/:id{.+}": {
    id: "getModel",
    group: "Models",
    summary: "Describe the served model",
    description: inDialect,
    pathFields: modelName,
    answers: ["Model", "ModelInfo"],
    errors: [404],
  },
  "POST /tokenize": {
    id: "tokenize",
    group: "Tokens",
    summary: "Text or messages to tokens",
    description: "Either `prompt`, or `messages` as in a chat request: what the model would read.",
    request: "TokenizeRequest",
    example: { prompt: question, return_token_strs: true },
    answers: ["Tokens"],
  },
  "POST /detokenize": {
    id: "detokenize",
    group: "Tokens",
    summary: "Tokens to text",
    request: "DetokenizeRequest",
    example: { tokens: [10, 11, 12] },
    answers: ["DecodedText"],
  },
  "GET /version": { id: "getVersion", group: "Server", summary: "Which version answers, and on what", answers: ["Version"] },
  "GET /health": { id: "getHealth", group: "Server", summary: "Whether requests are answered", answers: ["Health"], isHealth: true },
  "GET /health/ready": { id: "getReadiness", group: "Server", summary: "The same, for probes", answers: ["Health"], isHealth: true },
  "GET /health/live": { id: "getLiveness", group: "Server", summary: "Whether the process is alive", answers: ["Alive"] },
  "GET /metrics": { id: "getMetrics", group: "Server", summary: "Figures for Prometheus", answers: "text/plain" },
  "GET /openapi.json": { id: "getDocument", group: "Pages", summary: "This document", answers: "application/json" },
  "GET /docs": { id: "getDocsPage", group: "Pages", summary: "This document, to read", answers: "text/html" },
  "GET /": { id: "getPage", group: "Pages", summary: "A page to chat with the model", answers: "text/html" },
  "GET /assets/:name": {
    id: "getAsset",
    group: "Pages",
    summary: "A file of that page",
    pathFields: { name: "As the page names it." },
    answers: "*/*",
    errors: [404],
  },
};
