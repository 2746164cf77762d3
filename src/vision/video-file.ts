// An encoded video on disk: its size and length, and selected frames as pixels. ffmpeg demuxes and decodes; the formats it may open are listed here.

import { z } from "zod";
import { RequestError } from "../core/errors.ts";
import { parseJson } from "../core/parse-json.ts";
import type { Ffmpeg } from "./ffmpeg.ts";
import { PpmError, readPpm } from "./read-ppm.ts";
import type { RgbImage } from "./rgb-image.ts";
import { runTool, ToolError, ToolMemoryError } from "./run-tool.ts";
import type { VideoLength } from "./sample-frames.ts";
import type { Size } from "./smart-resize.ts";

export type VideoFile = {
  readonly path: string;
  /** The field that held it, for error messages. */
  readonly param: string;
  /** Pixels of a frame before scaling. */
  readonly maxFramePixels: number;
  /** Of ffmpeg: it decodes something of every track, and a file may have a thousand. */
  readonly maxMemoryBytes: number;
};

type VideoInfo = VideoLength & Size;

/** No playlists or lists of files: nothing that can refer to another file or address. */
const containers = "mov,matroska,avi,mpegts,gif";
const videoCodecs = "h264,hevc,vp8,vp9,av1,libdav1d,mpeg4,mjpeg,gif";
/** Allowed for ffprobe only, which opens a decoder for every stream, even those that are never decoded, and fails if one is not allowed. */
const companionCodecs =
  "aac,aac_latm,mp2,mp2float,mp3,mp3float,ac3,eac3,opus,libopus,vorbis,libvorbis,flac,alac,amrnb,amrwb," +
  "pcm_s16le,pcm_s16be,pcm_s24le,pcm_u8,pcm_mulaw,pcm_alaw,mov_text,subrip,ass,webvtt";
const acceptedFormats = "MP4, QuickTime, WebM, Matroska, AVI, MPEG-TS or GIF with H.264, HEVC, VP8, VP9, AV1, MPEG-4 or MJPEG pictures";

const maxAllocationBytes = 2 ** 28;
const decoderThreads = 2;
const maxProbeBytes = 2 ** 16;

function inputOptions({ path, maxFramePixels }: VideoFile, codecs: string): string[] {
  const allowed = ["-protocol_whitelist", "file", "-format_whitelist", containers, "-codec_whitelist", codecs];
  const limits = ["-max_pixels", String(maxFramePixels), "-max_alloc", String(maxAllocationBytes)];
  return ["-v", "error", "-hide_banner", ...allowed, ...limits, "-i", `file:${path}`];
}

const rate = z.string().transform((text) => {
  const [numerator = 0, denominator = 0] = text.split("/").map(Number);
  return denominator > 0 && numerator > 0 ? numerator / denominator : undefined;
});
const probed = z.object({
  streams: z.array(
    z.object({
      width: z.int().min(1),
      height: z.int().min(1),
      avg_frame_rate: rate,
      r_frame_rate: rate,
      nb_read_packets: z.coerce.number().int().min(1),
      side_data_list: z.array(z.object({ rotation: z.number().optional() })).optional(),
    }),
  ),
});

/** Reads the file's structure without decoding much more than one frame. Throws RequestError. */
export async function probeVideo(ffmpeg: Ffmpeg, file: VideoFile, signal: AbortSignal): Promise<VideoInfo> {
  const entries = "stream=width,height,avg_frame_rate,r_frame_rate,nb_read_packets:stream_side_data=rotation";
  const selection = ["-select_streams", "V:0", "-count_packets", "-show_entries", entries, "-of", "json"];
  const args = [...inputOptions(file, `${videoCodecs},${companionCodecs}`), ...selection];
  let output = "";
  try {
    for await (const chunk of runTool(ffmpeg.ffprobePath, args, { signal, maxMemoryBytes: file.maxMemoryBytes })) {
      output += chunk.toString("utf8");
      if (output.length > maxProbeBytes) break;
    }
  } catch (error) {
    throw refusal(file, error);
  }
  const parsed = probed.safeParse(parseJson(output));
  if (!parsed.success) throw unreadable(file, parsed.error);
  const [stream] = parsed.data.streams;
  if (!stream) throw invalid(file, "expected a video, got a file without a video track; audio is not supported");
  const { width, height, avg_frame_rate: average, r_frame_rate: nominal, nb_read_packets: frameCount, side_data_list: sides } = stream;
  const isOnItsSide = (sides ?? []).some(({ rotation = 0 }) => Math.abs(rotation % 180) === 90);
  return { width: isOnItsSide ? height : width, height: isOnItsSide ? width : height, frameCount, fps: average ?? nominal ?? 1 };
}

/**
 * The frames with these indices (ascending and distinct), rotated upright. There are fewer if the file ends early or is damaged; throws RequestError
 * if there are none. Decodes only as fast as the frames are consumed.
 */
export async function* decodeFrames(
  ffmpeg: Ffmpeg,
  file: VideoFile,
  indices: readonly number[],
  signal: AbortSignal,
): AsyncGenerator<RgbImage, void> {
  const select = `select='${isOneOf(indices)}'`;
  const input = ["-nostdin", "-threads", String(decoderThreads), ...inputOptions(file, videoCodecs)];
  const filter = ["-map", "0:V:0", "-an", "-sn", "-dn", "-filter_threads", "1", "-vf", select, ...passThrough(ffmpeg.version)];
  const output = ["-frames:v", String(indices.length), "-c:v", "ppm", "-f", "image2pipe", "pipe:1"];
  const tool = runTool(ffmpeg.ffmpegPath, [...input, ...filter, ...output], { signal, maxMemoryBytes: file.maxMemoryBytes });
  let count = 0;
  try {
    for await (const frame of readPpm(tool, file.maxFramePixels)) {
      count++;
      yield frame;
    }
  } catch (error) {
    if (error instanceof PpmError) throw unreadable(file, error);
    if (!(error instanceof ToolError) || count === 0) throw refusal(file, error);
  }
  if (count === 0) throw unreadable(file);
}

/** An ffmpeg expression that is true if n is one of the numbers. It is a search tree, because ffmpeg rejects sums of more than about 100 terms. */
function isOneOf(numbers: readonly number[]): string {
  if (numbers.length === 1) return `eq(n,${numbers[0]})`;
  const middle = numbers.length >> 1;
  return `if(lt(n,${numbers[middle]}),${isOneOf(numbers.slice(0, middle))},${isOneOf(numbers.slice(middle))})`;
}

/** Keeps ffmpeg from dropping or repeating frames. The option has had its current name since 5.1. */
function passThrough(version: string): string[] {
  const [major = 99, minor = 99] = /^n?(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number) ?? [];
  return major > 5 || (major === 5 && minor >= 1) ? ["-fps_mode", "passthrough"] : ["-vsync", "passthrough"];
}

/** Other errors than those of the tools are returned as they are. */
function refusal(file: VideoFile, error: unknown): unknown {
  if (error instanceof ToolMemoryError) return tooMuchMemory(file);
  if (!(error instanceof ToolError)) return error;
  return /max pixel count/.test(error.messages) ? tooLarge(file) : unreadable(file, error);
}

function tooLarge({ param, maxFramePixels }: VideoFile): RequestError {
  return new RequestError(`${param}: expected frames of at most ${maxFramePixels} pixels, got larger ones; scale the video down`, {
    code: "video_too_large",
    param,
  });
}

function tooMuchMemory({ param, maxMemoryBytes }: VideoFile): RequestError {
  const expected = `a video that ffmpeg decodes in ${maxMemoryBytes / 2 ** 20} MiB of memory, got one that takes more`;
  return new RequestError(`${param}: expected ${expected}; scale it down, and send no other tracks of pictures`, {
    code: "video_too_large",
    param,
  });
}

function unreadable(file: VideoFile, cause?: unknown): RequestError {
  return invalid(file, `expected a video file that can be decoded (${acceptedFormats}), got one that cannot; send an intact file`, cause);
}

function invalid({ param }: VideoFile, fault: string, cause?: unknown): RequestError {
  return new RequestError(`${param}: ${fault}`, { code: "invalid_video", param, cause });
}
