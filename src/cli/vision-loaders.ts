// Turns a server's pictures, videos and pages into patches, with threads and the system's ffmpeg if there is one.

import { accessSync, constants } from "node:fs";
import { tmpdir } from "node:os";
import type { LoadImage, LoadVideo } from "../chat/encode-prompt.ts";
import type { ReadPdf } from "../chat/expand-documents.ts";
import { readProcessorSettings } from "../convert/processor-settings.ts";
import { systemReason } from "../core/file-system.ts";
import type { ImageConfig } from "../core/model-config.ts";
import { type Ffmpeg, findFfmpeg } from "../vision/ffmpeg.ts";
import { createImageLoader } from "../vision/image-loader.ts";
import { createVideoLoader } from "../vision/load-video.ts";
import { toVideoConfig, type VideoConfig, videoSettings } from "../vision/video-config.ts";
import { removeAbandonedVideos } from "../vision/video-folder.ts";

export type VisionLoaders = {
  readonly loadImage: LoadImage;
  readonly loadVideo: LoadVideo;
  readonly readPdf: ReadPdf;
  /** Whether ffmpeg was found, and a folder for its files. */
  readonly takesVideoFiles: boolean;
  close(): Promise<void>;
};

/** Looks for what video files need, and reports the result. Throws UserError if the model's video settings are invalid. */
export async function createVisionLoaders(folder: string, image: ImageConfig, say: (line: string) => void): Promise<VisionLoaders> {
  const config = readVideoConfig(folder);
  const found = await findFfmpeg();
  const missing = missingForVideoFiles(found);
  const ffmpeg = missing === undefined ? found : undefined;
  say(`video    ${ffmpeg ? `ffmpeg ${ffmpeg.version}` : `lists of frames only (video files need ${missing})`}`);
  if (ffmpeg) await removeAbandonedVideos();
  const images = createImageLoader(image);
  const loadVideo = createVideoLoader({ ffmpeg, config, loadFrame: images.load });
  return { loadImage: images.load, loadVideo, readPdf: images.readPdf, takesVideoFiles: ffmpeg !== undefined, close: () => images.close() };
}

/** A container's root may be read-only: the operator should hear of it now, not with the first video. */
function missingForVideoFiles(ffmpeg: Ffmpeg | undefined): string | undefined {
  if (!ffmpeg) return "ffmpeg, which was not found";
  try {
    accessSync(tmpdir(), constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return `a temporary folder, and ${tmpdir()} cannot be written to: ${systemReason(error)}; set TMPDIR to another`;
  }
}

export function readVideoConfig(folder: string): VideoConfig {
  return toVideoConfig(readProcessorSettings(folder, "video_processor", videoSettings)?.settings);
}
