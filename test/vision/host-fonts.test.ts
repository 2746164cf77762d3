import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { readFontFaces } from "../../src/vision/font-file.ts";
import { chooseFont, findHostFonts, fontFolders, type HostFont, type WantedFont } from "../../src/vision/host-fonts.ts";
import { type FontPlan, makeFont, makeFontCollection } from "./make-font.ts";

const root = mkdtempSync(join(tmpdir(), "ernie-vl-fonts-"));
const box = [0, 0, 1000, 1000] as const;
const plan = (fields: Partial<FontPlan> = {}): FontPlan => ({ names: { 0x409: "Any" }, characters: "们", box, ...fields });

let folder: string;
let count = 0;
beforeEach(() => mkdirSync((folder = join(root, `${count++}`, "fonts")), { recursive: true }));
afterAll(() => rmSync(root, { recursive: true }));
const put = (name: string, file: Buffer) => writeFileSync(join(folder, name), file);
const find = () => findHostFonts([folder, join(root, "nowhere")]);

/** Of this process. One of the descriptors is that of the list itself, and closed by now. */
function openFiles(): string[] {
  return readdirSync("/proc/self/fd").flatMap((name) => {
    try {
      return [readlinkSync(`/proc/self/fd/${name}`)];
    } catch {
      return [];
    }
  });
}

describe("fonts of the host", () => {
  test("are all faces in a folder that have characters of a script, with what tells them", () => {
    mkdirSync(join(folder, "deep/er"), { recursive: true });
    put("deep/er/one.TTF", makeFont(plan({ names: { 0x409: "My Song", 0x804: "我的宋体" }, weight: 700, hasSerifs: true })));
    put(
      "two.ttc",
      makeFontCollection([plan({ characters: "の込한" }), plan({ characters: "A" }), plan({ characters: "们們妳", format: 4 })]),
    );

    const fonts = find();

    expect(fonts).toMatchObject([
      {
        path: join(folder, "deep/er/one.TTF"),
        names: ["mysong", "我的宋体"],
        scripts: ["Simplified Chinese"],
        face: { offset: 0, languages: [0x409, 0x804], weight: 700, hasSerifs: true },
      },
      { path: join(folder, "two.ttc"), scripts: ["Japanese", "Korean"], face: { weight: 400, hasSerifs: false } },
      { path: join(folder, "two.ttc"), scripts: ["Simplified Chinese", "Traditional Chinese"] },
    ]);
    expect(fonts[1]!.face.offset).toBe(24); // behind the head of a collection of three
  });

  test.each([4, 12] as const)("have the characters that their table of format %i lists, and no others", (format) => {
    const characters = "一丁丂七丄丅丆万丈三上下丌不与";
    put("a.ttf", makeFont(plan({ format, characters: `们${characters.replace("三", "")}` })));

    const { has } = readFontFaces(join(folder, "a.ttf"))[0]!;

    expect([...characters].filter((character) => !has(character.codePointAt(0)!))).toEqual(["三"]);
    for (const codePoint of [0, 0x41, 0x4eeb, 0x4eed, 0xfffe, 0x10ffff]) expect(has(codePoint)).toBe(false);
  });

  test("are found behind links, and what is no font, too large or no file is left out", () => {
    put("real.bin", makeFont(plan()));
    symlinkSync(join(folder, "real.bin"), join(folder, "link.ttf"));
    symlinkSync(join(folder, "gone"), join(folder, "broken.ttf"));
    execFileSync("mkfifo", [join(folder, "pipe.ttf")]); // opening it would never end
    mkdirSync(join(folder, "folder.ttf"));
    put("text.ttf", Buffer.from("no font at all"));
    put("empty.ttf", Buffer.alloc(0));
    put("cut.ttf", makeFont(plan()).subarray(0, 300));
    put("large.ttf", makeFont(plan()));
    truncateSync(join(folder, "large.ttf"), 65 * 2 ** 20);

    expect(find().map(({ path }) => path)).toEqual([join(folder, "link.ttf")]);
    expect(openFiles().filter((path) => path.startsWith(folder))).toEqual([]);
  });
});

describe("the font for a text", () => {
  const font = (fields: Partial<FontPlan>): HostFont => {
    put("a.ttf", makeFont(plan({ characters: "们們妳の込", ...fields })));
    return find()[0]!;
  };
  const wanted: WantedFont = { script: "Simplified Chinese", name: "SimHei", weight: 400, hasSerifs: false };

  test.each<[string, Partial<FontPlan>, Partial<FontPlan>, Partial<WantedFont>]>([
    ["has its name, in any spelling", { names: { 0x411: "Sim-Hei" }, weight: 700 }, { names: { 0x804: "B" } }, {}],
    ["is made for its language", { names: { 0x804: "A" }, hasSerifs: true }, { names: { 0x409: "B" } }, {}],
    ["or at least for no other", { names: { 0x409: "A" }, hasSerifs: true }, { names: { 0x411: "B" } }, {}],
    ["has serifs", { hasSerifs: true, weight: 700 }, {}, { hasSerifs: true }],
    ["has no serifs", { weight: 700 }, { hasSerifs: true }, {}],
    ["is bold", { weight: 600 }, { weight: 400 }, { weight: 700 }],
    ["is not bold", { weight: 300 }, { weight: 700 }, { weight: 465 }],
  ])("%s, if there is such a one", (_, better, worse, fields) => {
    const fonts = [font(worse), font(better)];

    expect(chooseFont(fonts, { ...wanted, ...fields })).toBe(fonts[1]);
    expect(chooseFont(fonts.toReversed(), { ...wanted, ...fields })).toBe(fonts[1]);
    expect(chooseFont(fonts.slice(0, 1), { ...wanted, ...fields })).toBe(fonts[0]);
  });

  test.each([
    ["Simplified Chinese", 0x804],
    ["Simplified Chinese", 0x1004],
    ["Traditional Chinese", 0x404],
    ["Traditional Chinese", 0xc04],
    ["Traditional Chinese", 0x1404],
    ["Japanese", 0x411],
    ["Korean", 0x412],
  ] as const)("in %s is one with a name in language %i", (script, language) => {
    const characters = "们們妳の込한";
    const fonts = [font({ characters }), font({ characters, names: { [language]: "A" } })];

    expect(chooseFont(fonts, { ...wanted, script })).toBe(fonts[1]);
  });

  test("is the first of equals, and none where none can write it", () => {
    const fonts = [font({}), font({})];

    expect(chooseFont(fonts, wanted)).toBe(fonts[0]);
    expect(chooseFont(fonts, { ...wanted, script: "Korean" })).toBeUndefined();
  });
});

describe("the folders of fonts", () => {
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  test("are those of the user and the system", () => {
    vi.stubEnv("HOME", "/home/meyer");

    expect(fontFolders({})).toEqual(["/home/meyer/.local/share/fonts", "/usr/local/share/fonts", "/usr/share/fonts"]);
  });

  test("may be others, but no relative ones", () => {
    expect(fontFolders({ XDG_DATA_HOME: "/data", XDG_DATA_DIRS: "relative:/opt/share:" })).toEqual(["/data/fonts", "/opt/share/fonts"]);
    expect(fontFolders({ XDG_DATA_HOME: "data", XDG_DATA_DIRS: "/opt/share" })).toEqual(["/opt/share/fonts"]);
  });
});
