// The folder beside the target with the intermediate results of a calibration: the probe model, then the recorded file.

import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CalibrationFile } from "../../convert/calibration-file.ts";
import { WorkFolder, workFolderPath } from "../../convert/work-folder.ts";
import { writing } from "../../core/file-system.ts";
import { manifestFileName } from "../../core/manifest.ts";
import type { WaitOptions } from "../../runtime/file-lock.ts";

const keyFileName = "key";

/** End with `leave` or `remove`; a killed process acts like `leave`. */
export class CalibrationWork {
  readonly #folder: WorkFolder;

  /**
   * Waits while another process calibrates for the same target. `key` is a hash of everything the result depends on: work with another
   * key is deleted. Throws a UserError when the folder cannot be written.
   */
  static async claim(target: string, key: string, options: WaitOptions): Promise<CalibrationWork> {
    const folder = await WorkFolder.claim(nameFor(target), options);
    const keyFile = join(folder.path, keyFileName);
    if (!existsSync(keyFile) || readFileSync(keyFile, "utf8") !== key) {
      folder.clear();
      writing(keyFile, () => writeFileSync(keyFile, key, { flush: true }));
    }
    return new CalibrationWork(folder);
  }

  private constructor(folder: WorkFolder) {
    this.#folder = folder;
  }

  /** Folder of the probe: the same model as the target, with additional outputs. */
  get probe(): string {
    return join(this.#folder.path, "probe");
  }

  get hasProbe(): boolean {
    return existsSync(join(this.probe, manifestFileName));
  }

  get file(): string {
    return join(this.#folder.path, "calibration.safetensors");
  }

  /** Whether the file is there; it is complete then, because it is renamed to its name at the end. */
  get hasFile(): boolean {
    if (!existsSync(this.file)) return false;
    CalibrationFile.open(this.file).close();
    return true;
  }

  removeProbe(): void {
    rmSync(this.probe, { recursive: true, force: true });
  }

  /** Keeps finished work for the next run of the same command. */
  leave(): void {
    this.#folder.release();
  }

  /** Deletes the folder and its content. */
  remove(): void {
    this.#folder.remove();
  }
}

/** Disk space taken by an earlier, stopped run for the same target. */
export function bytesOfEarlierWork(target: string): number {
  return [workFolderPath(target), workFolderPath(nameFor(target))].reduce((sum, folder) => sum + bytesIn(folder), 0);
}

/** The target name that gives the work folder `.NAME.calibration.partial`. */
function nameFor(target: string): string {
  return `${target}.calibration`;
}

function bytesIn(folder: string): number {
  if (!existsSync(folder)) return 0;
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return names.reduce((sum, name) => sum + 512 * (statSync(join(folder, name), { throwIfNoEntry: false })?.blocks ?? 0), 0);
}
