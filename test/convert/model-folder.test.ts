import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { hashFile } from "../../src/convert/hash-file.ts";
import { encodeManifest } from "../../src/convert/output-folder.ts";
import { UserError } from "../../src/core/errors.ts";
import { classifyFolder, readManifest, verifyFiles } from "../../src/model-folder.ts";
import { makeManifest } from "./make-manifest.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const weights = Buffer.alloc(5_000_000, "weights");

function writeModel(): string {
  const folder = join(temporaryFolder(), "model");
  mkdirSync(folder);
  writeFileSync(join(folder, "decoder.onnx"), "graph");
  writeFileSync(join(folder, "decoder.onnx.data"), weights);
  const files = Object.fromEntries(["decoder.onnx", "decoder.onnx.data"].map((name) => [name, hashFile(join(folder, name))]));
  writeFileSync(join(folder, "manifest.json"), encodeManifest(makeManifest({ files })));
  return folder;
}

function editManifest(folder: string, change: (manifest: Record<string, unknown>) => object): void {
  const path = join(folder, "manifest.json");
  writeFileSync(path, JSON.stringify(change(JSON.parse(readFileSync(path, "utf8")))));
}

test("the manifest of a written folder comes back as it was", () => {
  const manifest = readManifest(writeModel());

  expect(manifest).toEqual(makeManifest({ files: manifest.files }));
  expect(Object.keys(manifest.files)).toEqual(["decoder.onnx", "decoder.onnx.data"]);
});

describe("a folder that cannot be served is refused with one line:", () => {
  const cases: [string, (folder: string) => void, string][] = [
    [
      "no manifest",
      (folder) => rmSync(join(folder, "manifest.json")),
      "not a converted model, there is no manifest.json; convert the checkpoint with",
    ],
    ["no JSON", (folder) => writeFileSync(join(folder, "manifest.json"), "\n\n"), "manifest.json: expected valid JSON"],
    [
      "weights that are a symbolic link",
      (folder) => {
        renameSync(join(folder, "decoder.onnx.data"), join(folder, "..", "elsewhere"));
        symlinkSync(join(folder, "..", "elsewhere"), join(folder, "decoder.onnx.data"));
      },
      "expected a file, got a symbolic link, which ONNX Runtime does not read",
    ],
    [
      "weights that are a hard link",
      (folder) => linkSync(join(folder, "decoder.onnx.data"), join(folder, "..", "elsewhere")),
      "expected a file, got a hard link, which ONNX Runtime does not read; copy the folder with cp -rL",
    ],
    ["another program's manifest", (folder) => editManifest(folder, () => ({ name: "x" })), "expected a manifest of ernie-vl"],
    [
      "another format version",
      (folder) => editManifest(folder, (manifest) => ({ ...manifest, formatVersion: 9, createdBy: "7.0.0" })),
      "expected format 3, got format 9, written by ernie-vl 7.0.0; convert again with ernie-vl convert",
    ],
    [
      "unknown settings",
      (folder) => editManifest(folder, (manifest) => ({ ...manifest, settings: { weights: "int3", activations: "fp32" } })),
      'manifest.json: settings.weights: expected "fp32" or "int8" or "int4" or "int4-all", got "int3"',
    ],
    [
      "no config",
      (folder) => editManifest(folder, (manifest) => ({ ...manifest, config: undefined })),
      "manifest.json: config: expected an object, got nothing",
    ],
    [
      "a file outside the folder",
      (folder) => editManifest(folder, (manifest) => ({ ...manifest, files: { "../x": { bytes: 0, sha256: "0".repeat(64) } } })),
      "files: expected names of files in the same folder",
    ],
    ["a missing file", (folder) => rmSync(join(folder, "decoder.onnx")), "decoder.onnx: expected 5 bytes, got no such file"],
    [
      "a file cut short",
      (folder) => truncateSync(join(folder, "decoder.onnx.data"), 7),
      "decoder.onnx.data: expected 5000000 bytes, got 7 bytes",
    ],
  ];

  test.each(cases)("%s", (_, damage, message) => {
    const folder = writeModel();
    damage(folder);
    const read = (): unknown => readManifest(folder);

    expect(read).toThrow(UserError);
    expect(read).toThrow(message);
    expect(read).toThrow(/^[^\n]*$/);
  });
});

describe("verification", () => {
  test("passes an intact folder", async () => {
    const folder = writeModel();

    await verifyFiles(folder, readManifest(folder));
  });

  test.each([0, 4_999_999])("finds one changed byte, number %i", async (changed) => {
    const folder = writeModel();
    writeFileSync(join(folder, "decoder.onnx.data"), Buffer.from(weights).fill("W", changed, changed + 1));

    const verified = verifyFiles(folder, readManifest(folder));

    await expect(verified).rejects.toThrow(UserError);
    await expect(verified).rejects.toThrow(/decoder.onnx.data: expected SHA-256 \w{64}, got \w{64}; copy/);
  });
});

test("a file that cannot be read is the operator's error", async () => {
  const folder = writeModel();
  const manifest = readManifest(folder);
  rmSync(join(folder, "decoder.onnx"));
  mkdirSync(join(folder, "decoder.onnx"));

  await expect(verifyFiles(folder, manifest)).rejects.toThrow(
    new UserError(`cannot read ${join(folder, "decoder.onnx")}: illegal operation on a directory`),
  );
});

describe("a folder given by the operator", () => {
  test("is told apart by its files", () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "config.json"), "{}");

    expect(classifyFolder(folder)).toBe("checkpoint");
    expect(classifyFolder(writeModel())).toBe("converted");
  });

  test("is refused when it is a file of one", () => {
    const file = join(writeModel(), "manifest.json");
    expect(() => classifyFolder(file)).toThrow(
      new UserError(`${file}: expected a model folder, got a file; use the folder that contains it`),
    );
  });

  test("is refused when the system does not let us look", () => {
    const loop = join(temporaryFolder(), "loop");
    symlinkSync(loop, loop);

    expect(() => classifyFolder(loop)).toThrow(new UserError(`cannot read ${loop}: too many symbolic links encountered`));
  });

  test("is refused when it is neither, or not there", () => {
    const folder = join(temporaryFolder(), "x");
    expect(() => classifyFolder(folder)).toThrow("no such folder");
    mkdirSync(folder);
    expect(() => classifyFolder(folder)).toThrow("neither a converted model (manifest.json) nor a Hugging Face checkpoint (config.json)");
    expect(() => classifyFolder(folder)).toThrow(UserError);
  });

  test.each(["ERNIE-4.5-VL-28B-A3B-PT", "snapshots/0123abcd"])("is refused with the model to use, which is in %s", (name) => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "refs"));
    mkdirSync(join(folder, name), { recursive: true });
    writeFileSync(join(folder, name, "config.json"), "{}");

    expect(() => classifyFolder(folder)).toThrow(`(config.json); use a folder inside it: ${join(folder, name)}`);
  });
});
