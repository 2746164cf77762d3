// The settings of the HTTP layer.

import type { MediaReader } from "../core/media.ts";
import type { SamplingParams } from "../core/sampling.ts";
import type { ServerMetrics } from "./metrics.ts";
import type { RequestSummary } from "./request-record.ts";

/** Sampling that holds where the request says nothing; what is missing here is OpenAI's default. */
export type GenerationDefaults = Partial<Pick<SamplingParams, "temperature" | "topP" | "topK" | "repetitionPenalty">>;

/** Structured log; a pino logger fits. */
export type Log = {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
};

export type AppOptions = {
  /** The name that requests give as `model`, and that answers bear. */
  readonly modelId: string;
  /** More names that requests may give. */
  readonly modelAliases?: readonly string[];
  /** Unix time in seconds that `/v1/models` reports. */
  readonly created: number;
  /** Tokens that prompt and answer may have together. */
  readonly contextLength: number;
  readonly defaultThinking: boolean;
  readonly generationDefaults: GenerationDefaults;
  /** Empty: no key is asked for. */
  readonly apiKeys: readonly string[];
  /** Origins of web pages that may ask and read answers, besides this server's own; `*`: any. */
  readonly allowedOrigins?: readonly string[];
  /** Requests must name the server as localhost or by an address. */
  readonly localNamesOnly?: boolean;
  /** True while the model is loaded, a step works and the server is not shutting down. */
  readonly isReady: () => boolean;
  /** Aborts when the server shuts down: a request that has not wholly come by then is refused. */
  readonly stopping?: AbortSignal;
  /** Reads pictures that requests name by URL, from where the operator allows. */
  readonly media: MediaReader;
  /** Requests being computed and requests in the queue, shown by `/health`. */
  readonly stats: () => { readonly running: number; readonly waiting: number };
  readonly log: Log;
  readonly metrics: ServerMetrics;
  /** GET /metrics is a route like any other, behind the key. */
  readonly servesMetrics: boolean;
  /** Told of each request when it is over. */
  readonly trace?: ((request: RequestSummary) => void) | undefined;
  /** Told by GET /version. */
  readonly hardware?: Hardware;
  /** Requests may ask which experts their tokens went to. */
  readonly exposesRouting?: boolean;
  /** Videos may be files, not only lists of frames. */
  readonly takesVideoFiles?: boolean;
  /** Where the built web page lies; without it, `/` is unknown. */
  readonly webFolder?: string | undefined;
  readonly limits?: Partial<RequestLimits>;
  /** Responses of `/v1/responses` kept in memory; 0: none. */
  readonly responseStore?: number;
};

/** What computes, and with which memory: for people in words, for charts in bytes. */
export type Hardware = Readonly<Record<"device" | "weights" | "context", string>> & {
  readonly memoryBytes: Readonly<Record<"weights" | "workspace" | "kvCache" | "usable", number>>;
};

export type RequestLimits = MediaLimits & {
  readonly bodyBytes: number;
  /** Of the bodies of all requests under way. */
  readonly allBodiesBytes: number;
};

/** Of the pictures, videos and documents of one request. */
export type MediaLimits = {
  /** Pictures in one request. */
  readonly imageCount: number;
  /** Encoded size of one picture. */
  readonly imageBytes: number;
  /** Videos in one request, and the frames of those that come as lists of pictures. */
  readonly videoCount: number;
  readonly frameCount: number;
  /** Encoded size of one video. */
  readonly videoBytes: number;
  /** Files of documents in one request, and the size of one. */
  readonly documentCount: number;
  readonly documentBytes: number;
  /** Encoded size of all files of a request together, however they come. */
  readonly mediaBytes: number;
};

export const defaultResponseStore = 1000;

export const defaultLimits: RequestLimits = {
  bodyBytes: 64 * 2 ** 20,
  allBodiesBytes: 2 ** 30,
  imageCount: 32,
  imageBytes: 20 * 2 ** 20,
  videoCount: 4,
  frameCount: 512,
  videoBytes: 64 * 2 ** 20,
  documentCount: 16,
  documentBytes: 32 * 2 ** 20,
  mediaBytes: 64 * 2 ** 20,
};
