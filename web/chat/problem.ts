// What can go wrong between the page and the server, in words that users can act on.

type ProblemKind = "unreachable" | "key" | "busy" | "starting" | "broken" | "refused" | "server";

export type Problem = {
  readonly kind: ProblemKind;
  readonly title: string;
  readonly detail: string;
  /** How long to wait before trying again. */
  readonly retryAfterMs?: number | undefined;
};

export class ProblemError extends Error {
  override readonly name = "ProblemError";
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(`${problem.title}: ${problem.detail}`);
    this.problem = problem;
  }
}

export function unreachable(): Problem {
  return {
    kind: "unreachable",
    title: "Cannot reach the server",
    detail: "It may have stopped, or the network may be down. Check both, then try again. Your text is kept.",
  };
}

/** Something else answers at this address, such as a proxy or a login page. */
export function strangeServer(): Problem {
  return {
    kind: "server",
    title: "Another program answered",
    detail: "What came from this address is not the server's list of models. Is there a proxy in between?",
  };
}

export function wrongKey(): Problem {
  return {
    kind: "key",
    title: "Wrong API key",
    detail: "Enter one of the server's keys under Settings, then try again.",
  };
}

export function brokenOff(): Problem {
  return {
    kind: "broken",
    title: "The answer was cut off",
    detail: "The connection closed before the answer was complete. The part that arrived is shown above.",
  };
}

/** The problem of a response with an error status. */
export async function problemOfResponse(response: Response): Promise<Problem> {
  const { status } = response;
  const error = errorOf(await response.text().catch(() => ""));
  if (!error && [502, 503, 504].includes(status)) return unreachable(); // from a proxy whose server is down
  const { message, param, code } = error ?? noReason;
  if (status === 401) {
    return code === "missing_api_key" ? { ...wrongKey(), title: "This server requires an API key" } : wrongKey();
  }
  if (status === 429) return { kind: "busy", title: "The server is busy", detail: message, retryAfterMs: retryAfterMs(response.headers) };
  if (status === 503) {
    return { kind: "starting", title: "The server is not ready", detail: message, retryAfterMs: retryAfterMs(response.headers) };
  }
  if (status === 413) return { kind: "refused", title: "The request is too large", detail: message };
  if (code === "context_length_exceeded") return { kind: "refused", title: "The conversation is too long for the model", detail: message };
  if (status < 500) return { kind: "refused", title: refusalTitle(param, code), detail: message };
  return { kind: "server", title: "The server failed", detail: message };
}

/** The problem of an error inside a stream. */
export function problemInStream(error: unknown): Problem {
  return { kind: "server", title: "The server failed while answering", detail: (errorOf(JSON.stringify({ error })) ?? noReason).message };
}

/** A title for the field that the server names as the cause. */
function refusalTitle(param: string, code: unknown): string {
  if (param.endsWith(".file.file_data")) return documentTitles[String(code)] ?? "The document was rejected";
  if (param.includes("image_url")) return "The picture was rejected";
  if (param.includes("video_url")) return "The video was rejected";
  if (/^(response_format|structured_outputs|guided_)/.test(param)) return "The JSON schema was rejected";
  if (param.startsWith("tool")) return "The tools were rejected";
  return "The server rejected the request";
}

/** Titles by the server's error code. */
const documentTitles: Readonly<Record<string, string>> = {
  invalid_file: "The document cannot be opened",
  unsupported_file: "The document is not a PDF or text file",
  file_too_large: "The document is too large",
  too_many_pages: "Too many pages",
  too_many_documents: "Too many documents",
};

type ServerError = { readonly message: string; readonly param: string; readonly code?: unknown };

const noReason: ServerError = { message: "The server gave no reason. Its log may say more.", param: "" };

/** Undefined if the body is not the server's: probably a proxy's page, which would not help the user. */
function errorOf(body: string): ServerError | undefined {
  try {
    const { message, param, code } = (JSON.parse(body) as { error: { message: unknown; param?: unknown; code?: unknown } }).error;
    return typeof message === "string" ? { message, param: typeof param === "string" ? param : "", code } : undefined;
  } catch {
    return undefined;
  }
}

function retryAfterMs(headers: Headers): number | undefined {
  const ms = Number.parseFloat(headers.get("retry-after-ms") ?? "");
  if (Number.isFinite(ms)) return ms;
  const seconds = Number.parseFloat(headers.get("retry-after") ?? "");
  return Number.isFinite(seconds) ? seconds * 1000 : undefined;
}
