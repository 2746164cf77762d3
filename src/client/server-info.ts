// Queries a server for its models, version and token counts. Refusals become one-line UserErrors.

import { UserError } from "../core/errors.ts";
import { membersOf, toCount } from "../core/parse-json.ts";
import type { Connection } from "./connection.ts";
import { toFailure } from "./failure.ts";

/** For requests that are cheap to answer. */
const questionTimeoutMs = 15_000;

/**
 * The model to ask for: `wanted` where the server lists it, else the first of its list. A server without `/v1/models` needs `wanted`. Throws
 * UserError when the server cannot be reached, refuses the key or lacks the model.
 */
export async function chooseModel(connection: Connection, wanted: string | undefined): Promise<string> {
  const { baseUrl } = connection;
  const { status, ids } = await listModels(connection);
  if (wanted !== undefined && (ids.length === 0 || ids.includes(wanted))) return wanted;
  if (wanted !== undefined) throw new UserError(`${baseUrl} has no model ${wanted}; it has ${ids.slice(0, 10).join(", ")}`);
  if (ids[0] !== undefined) return ids[0];
  throw new UserError(
    `${baseUrl}/v1/models lists no models (HTTP ${status}); is this an OpenAI-compatible server? If so, set the model with --model`,
  );
}

/** None where the server has no `/v1/models`. Throws UserError when it cannot be reached or refuses the key. */
export async function listModels(connection: Connection): Promise<{ readonly status: number; readonly ids: readonly string[] }> {
  const { status, body } = await ask(connection, "GET", "/v1/models");
  if (status === 401 || status === 403) {
    throw new UserError(`${connection.baseUrl} rejected the API key (HTTP ${status}); set the right one with --api-key or OPENAI_API_KEY`);
  }
  return { status, ids: status === 200 ? modelIds(body) : [] };
}

/** What `/version` says, as vLLM and this program have it; undefined elsewhere. */
export async function serverVersion(connection: Connection): Promise<string | undefined> {
  const { body } = await ask(connection, "GET", "/version");
  const { version } = membersOf(body);
  return typeof version === "string" ? version : undefined;
}

/** Tokens of a text by the server's `/tokenize`, as vLLM and this program have it; undefined where it has none. */
export async function countTokens(connection: Connection, model: string, text: string): Promise<number | undefined> {
  const { status, body } = await ask(connection, "POST", "/tokenize", { model, prompt: text, add_special_tokens: false });
  if (status !== 200) return undefined;
  return toCount(membersOf(body)["count"]);
}

/** Tokens of a whole request, by the usage of an answer of one token. Throws UserError when the server refuses it, or takes longer. */
export async function countPromptTokens(
  connection: Connection,
  path: string,
  body: object,
  timeoutMs: number,
): Promise<number | undefined> {
  const answer = await ask(connection, "POST", path, body, timeoutMs);
  if (answer.status !== 200) {
    const { kind, message } = toFailure(`HTTP ${answer.status}`, answer.body);
    throw new UserError(`${connection.baseUrl}${path} rejected a test request: ${kind}: ${message}`);
  }
  return toCount(membersOf(membersOf(answer.body)["usage"])["prompt_tokens"]);
}

async function ask(connection: Connection, method: "GET" | "POST", path: string, body?: object, timeoutMs = questionTimeoutMs) {
  try {
    return await connection.json(method, path, body, { timeoutMs });
  } catch (error) {
    throw new UserError(
      `cannot reach ${connection.baseUrl}: ${connectionProblem(error)}; start the server with ernie-vl serve, or set its address with --url`,
    );
  }
}

function connectionProblem(error: unknown): string {
  const { code = "", message } = error as NodeJS.ErrnoException;
  if (code === "ECONNREFUSED") return "connection refused";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "unknown host";
  if (code === "EPROTO") return "it does not speak TLS; use http:// instead of https://"; // OpenSSL's words are several lines
  return message;
}

function modelIds(body: unknown): string[] {
  const { data } = membersOf(body);
  const entries = Array.isArray(data) ? (data as ({ id?: unknown } | null)[]) : [];
  return entries.flatMap((entry) => (typeof entry?.id === "string" ? [entry.id] : []));
}
