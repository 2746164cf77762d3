// The folder beside the target where a calibration keeps what it has done: the model it asks, then the file it records.

import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CalibrationFile } from "../../convert/calibration-file.ts";
import { WorkFolder, workFolderPath, type ClaimOptions } from "../../convert/work-folder.ts";
import { writing } from "../../convert/file-errors.ts";
import { manifestFileName } from "../../core/manifest.ts";

const keyFileName = "key";

/** Ends with `leave` or `remove`; a killed process leaves. */
export class CalibrationWork {
  readonly #folder: WorkFolder;

  /**
   * Waits while another process calibrates for the same target. `key` stands for everything the result depends on: work with another
   * key is thrown away. Throws a UserError when the folder cannot be written.
   */
  static async claim(target: string, key: string, options: ClaimOptions): Promise<CalibrationWork> {
    const folder = await WorkFolder.claim(nameFor(target), options);
    const keyFile = join(folder.path, keyFileName);
    if (!existsSync(keyFile) || readFileSync(keyFile, "utf8") !== key) {
      const others = readdirSync(folder.path).filter((name) => !name.startsWith("owner-"));
      for (const name of others) rmSync(join(folder.path, name), { recursive: true, force: true });
      writing(keyFile, () => writeFileSync(keyFile, key, { flush: true }));
    }
    return new CalibrationWork(folder);
  }

  private constructor(folder: WorkFolder) {
    this.#folder = folder;
  }

  /** Of the model that is asked: the target's own, with more outputs. */
  get probe(): string {
    return join(this.#folder.path, "probe");
  }

  get hasProbe(): boolean {
    return existsSync(join(this.probe, manifestFileName));
  }

  get file(): string {
    return join(this.#folder.path, "calibration.safetensors");
  }

  /** The whole file: it gets its name when it is complete. */
  get hasFile(): boolean {
    if (!existsSync(this.file)) return false;
    CalibrationFile.open(this.file).close();
    return true;
  }

  removeProbe(): void {
    rmSync(this.probe, { recursive: true, force: true });
  }

  /** Keeps what is done, to be continued by the same command. */
  leave(): void {
    this.#folder.release();
  }

  /** Removes the folder with all it holds. */
  remove(): void {
    this.#folder.remove();
  }
}

/** Bytes on the disk that earlier, stopped work for the target left. */
export function bytesOfEarlierWork(target: string): number {
  return [workFolderPath(target), workFolderPath(nameFor(target))].reduce((sum, folder) => sum + bytesIn(folder), 0);
}

/** The work folder is named after it: `.NAME.calibration.partial`. */
function nameFor(target: string): string {
  return `${target}.calibration`;
}

function bytesIn(folder: string): number {
  if (!existsSync(folder)) return 0;
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return names.reduce((sum, name) => sum + 512 * (statSync(join(folder, name), { throwIfNoEntry: false })?.blocks ?? 0), 0);
}
