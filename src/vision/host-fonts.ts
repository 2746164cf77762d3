// Finds the host's fonts for Chinese, Japanese and Korean. PDFs often name such a font without embedding it.

import { type Dirent, readdirSync, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { homeFolder } from "../core/file-system.ts";
import { type FontFace, readFontFaces } from "./font-file.ts";

/** A page may need several fonts, and PDFium's memory is limited to 512 MiB. Noto's largest files have 25 MiB. */
const maxFileBytes = 64 * 2 ** 20;

/**
 * How to recognize a font for a script: by characters that fonts for the others lack, and by a name in its language (Windows language ids).
 * `encoding` is the one of font names in PDFs.
 */
export const scripts = {
  "Simplified Chinese": { probes: "们", languages: [0x804, 0x1004], encoding: "gbk" },
  "Traditional Chinese": { probes: "們妳", languages: [0x404, 0xc04, 0x1404], encoding: "big5" },
  Japanese: { probes: "の込", languages: [0x411], encoding: "shift_jis" },
  Korean: { probes: "한", languages: [0x412], encoding: "euc-kr" },
} as const;

export type Script = keyof typeof scripts;

export const allScripts = Object.keys(scripts) as Script[];

/** Without the character map, which is large. */
type Face = Omit<FontFace, "has">;

export type HostFont = {
  readonly path: string;
  readonly fileBytes: number;
  readonly face: Face;
  /** Normalized by `normalize`. */
  readonly names: readonly string[];
  /** The scripts whose characters it has. */
  readonly scripts: readonly Script[];
};

export type WantedFont = {
  readonly script: Script;
  /** As spelled in the PDF. */
  readonly name: string;
  /** 400 is regular, 700 bold. */
  readonly weight: number;
  readonly hasSerifs: boolean;
};

/** The font folders of the user, then of the system (XDG Base Directory Specification: relative paths are ignored). */
export function fontFolders(env: NodeJS.ProcessEnv): string[] {
  const ofUser = env["XDG_DATA_HOME"] || join(homeFolder() ?? "", ".local/share");
  const ofSystem = env["XDG_DATA_DIRS"] || "/usr/local/share:/usr/share";
  return [ofUser, ...ofSystem.split(":")].filter((folder) => isAbsolute(folder)).map((folder) => join(folder, "fonts"));
}

/** Searches the folders, in about 1 ms per font. Skips files that cannot be read. */
export function findHostFonts(folders: readonly string[]): HostFont[] {
  return folders.flatMap(listFontFiles).flatMap(({ path, fileBytes }) =>
    readFaces(path).flatMap(({ has, ...face }): HostFont[] => {
      const written = allScripts.filter((script) => [...scripts[script].probes].every((character) => has(character.codePointAt(0)!)));
      return written.length > 0 ? [{ path, fileBytes, face, names: face.names.map(normalize), scripts: written }] : [];
    }),
  );
}

function listFontFiles(folder: string): { path: string; fileBytes: number }[] {
  return listFiles(folder)
    .filter((entry) => /\.(tt|ot)[cf]$/i.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
    .flatMap((path) => {
      const file = statSync(path, { throwIfNoEntry: false }); // follows links
      return file?.isFile() && file.size <= maxFileBytes ? [{ path, fileBytes: file.size }] : [];
    });
}

function listFiles(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true });
  } catch {
    return []; // most of the usual folders do not exist
  }
}

function readFaces(path: string): FontFace[] {
  try {
    return readFontFaces(path);
  } catch {
    return [];
  }
}

/**
 * The best font for a script. Preferred, in this order: a font of that name; one made for the script's language, or at least for none of the
 * other scripts; one with serifs or without, as wanted; one of the closest weight. Ties go to the first.
 */
export function chooseFont(fonts: readonly HostFont[], { script, name, weight, hasSerifs }: WantedFont): HostFont | undefined {
  const wantedName = normalize(name);
  const candidates = fonts.flatMap((font) => {
    const { face, names } = font;
    if (!font.scripts.includes(script)) return [];
    const kinship = isMadeFor(face, script) ? 0 : allScripts.some((other) => isMadeFor(face, other)) ? 2 : 1;
    const boldness = Math.abs(face.weight - (weight < 600 ? 400 : 700));
    return { font, differences: [Number(!names.includes(wantedName)), kinship, Number(face.hasSerifs !== hasSerifs), boldness] };
  });
  return candidates.toSorted((a, b) => compare(a.differences, b.differences))[0]?.font;
}

function isMadeFor({ languages }: Face, script: Script): boolean {
  return languages.some((language) => (scripts[script].languages as readonly number[]).includes(language));
}

function normalize(name: string): string {
  return name.replaceAll(/[\s,_-]/g, "").toLowerCase();
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [index, value] of a.entries()) if (value !== b[index]) return value - b[index]!;
  return 0;
}
