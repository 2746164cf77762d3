// The settings of the HTTP layer.

import type { MediaReader } from "../core/media.ts";
import type { SamplingParams } from "../core/sampling.ts";
import type { ApiKeys } from "./api-keys.ts";
import type { ServerMetrics } from "./metrics.ts";
import type { RequestSummary } from "./request-record.ts";

/** Sampling parameters for requests that do not set them. Where one is missing here, OpenAI's default applies. */
export type GenerationDefaults = Partial<Pick<SamplingParams, "temperature" | "topP" | "topK" | "repetitionPenalty">>;

/** Structured log; a pino logger fits. */
export type Log = {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
};

export type AppOptions = {
  /** The model's name in requests and answers. */
  readonly modelId: string;
  /** More names that requests may use. */
  readonly modelAliases?: readonly string[];
  /** Unix time in seconds, reported by `/v1/models`. */
  readonly created: number;
  /** Tokens that prompt and answer may have together. */
  readonly contextLength: number;
  readonly defaultThinking: boolean;
  readonly generationDefaults: GenerationDefaults;
  /** Empty: no key is needed. */
  readonly apiKeys: ApiKeys;
  /** Origins of web pages, besides the server's own, that may use the API. `*`: any. */
  readonly allowedOrigins?: readonly string[];
  /** Requests must address the server as localhost or by an IP address. */
  readonly localNamesOnly?: boolean;
  /** True while the model is loaded, no step hangs and the server is not shutting down. */
  readonly isReady: () => boolean;
  /** Aborts when the server shuts down. A request that has not completely arrived by then is refused. */
  readonly stopping?: AbortSignal;
  /** Reads files that requests name by URL, from the places that the operator allows. */
  readonly media: MediaReader;
  /** Running and waiting requests, shown by `/health`. */
  readonly stats: () => { readonly running: number; readonly waiting: number };
  readonly log: Log;
  readonly metrics: ServerMetrics;
  /** GET /metrics is served on this port, and needs a key like other routes. */
  readonly servesMetrics: boolean;
  /** Called with each request when it is over. */
  readonly trace?: ((request: RequestSummary) => void) | undefined;
  /** Reported by GET /version. */
  readonly hardware?: Hardware;
  /** Requests may ask which experts processed their tokens. */
  readonly exposesRouting?: boolean;
  /** Video files are accepted, not only lists of frames. */
  readonly takesVideoFiles?: boolean;
  /** The folder of the built web page. Without it there is no `/`. */
  readonly webFolder?: string | undefined;
  readonly limits?: Partial<RequestLimits>;
  /** Responses of `/v1/responses` kept in memory; 0: none. */
  readonly responseStore?: number;
};

/** The settings as routes get them: limits that are not set have their defaults. */
export type RouteOptions = AppOptions & { readonly limits: RequestLimits };

/** The device and its memory: in words for people, in bytes for charts. */
export type Hardware = Readonly<Record<"device" | "weights" | "context", string>> & {
  readonly memoryBytes: Readonly<Record<"weights" | "workspace" | "kvCache" | "usable", number>>;
};

export type RequestLimits = MediaLimits & {
  readonly bodyBytes: number;
  /** The limit on the bodies of all running requests together; those of one API key may take half of it. */
  readonly allBodiesBytes: number;
};

/** Limits on the pictures, videos and documents of one request. */
export type MediaLimits = {
  /** Pictures in one request. */
  readonly imageCount: number;
  /** Encoded size of one picture. */
  readonly imageBytes: number;
  /** Videos in one request, and frames of videos that are sent as lists of pictures. */
  readonly videoCount: number;
  readonly frameCount: number;
  /** Encoded size of one video. */
  readonly videoBytes: number;
  /** Documents in one request, and the size of one. */
  readonly documentCount: number;
  readonly documentBytes: number;
  /** Encoded size of all files of a request together, inline or by URL. */
  readonly mediaBytes: number;
};

export const defaultResponseStore = 1000;

export const defaultLimits: RequestLimits = {
  bodyBytes: 64 * 2 ** 20,
  allBodiesBytes: 2 * 2 ** 30,
  imageCount: 32,
  imageBytes: 20 * 2 ** 20,
  videoCount: 4,
  frameCount: 512,
  videoBytes: 64 * 2 ** 20,
  documentCount: 16,
  documentBytes: 32 * 2 ** 20,
  mediaBytes: 64 * 2 ** 20,
};
