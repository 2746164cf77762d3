// What `npm run build` makes beside the program, and what a package of it contains.

import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { temporaryFolder } from "../temporary-folder.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string; engines: { node: string } };

test.each(["preact", "marked"])("the page's script contains the licence of %s, as each copy must", (name) => {
  const assets = join(root, "dist/web/assets");
  const script = readFileSync(
    join(
      assets,
      readdirSync(assets).find((file) => file.endsWith(".js"))!,
    ),
    "utf8",
  );

  // Not toContain(), which would print the whole script.
  expect(script.includes(readFileSync(join(root, "node_modules", name, "LICENSE"), "utf8"))).toBe(true);
});

test("a package contains what the program and its messages name, and nothing that only runs in a clone", () => {
  const listing = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: root, encoding: "utf8", stdio: "pipe" });
  // An array in older versions of npm, an object in newer ones.
  const [contents] = Object.values(JSON.parse(listing) as Record<string, { readonly files: readonly { readonly path: string }[] }>);
  const paths = contents!.files.map(({ path }) => path);

  const needed = ["bin/ernie-vl.js", "dist/main.js", "dist/web/index.html", "models/ernie-vl-nano/model.safetensors", "kernels/library.cc"];
  expect(paths).toEqual(expect.arrayContaining([...needed, "scripts/kernels/build.mjs", "scripts/gpu/install-provider.mjs", "LICENSE"]));
  expect(paths.filter((path) => /\.(ts|map|so)$|^(src|test|bench)\//.test(path))).toEqual([]);
});

test("npx says what to do if npm install was forgotten, and works after it", () => {
  // npx links a checkout into its cache when it is first used there. If it also built it, that would fail before npm install, and for ever after.
  const checkout = temporaryFolder();
  for (const name of ["bin", "package.json"]) cpSync(join(root, name), join(checkout, name), { recursive: true });
  const env = { ...process.env, npm_config_cache: join(temporaryFolder(), "cache"), npm_config_offline: "true" };
  const npx = () => spawnSync("npx", ["ernie-vl"], { cwd: checkout, env, encoding: "utf8" });

  const before = npx();
  mkdirSync(join(checkout, "dist"));
  writeFileSync(join(checkout, "dist/main.js"), `console.log("built");`);
  const after = npx();

  expect(before.stderr).toContain(`ernie-vl: not built yet; run npm install in ${checkout}`);
  expect(before.status).toBe(1);
  expect(after).toMatchObject({ stdout: "built\n", status: 0 });
});

test.each([
  ["18.20.8", 1, "", "ernie-vl: expected Node 20.19 or newer, got 18.20.8; get one from nodejs.org\n"],
  ["20.9.0", 1, "", "ernie-vl: expected Node 20.19 or newer, got 20.9.0; get one from nodejs.org\n"],
  [manifest.engines.node.replace(">=", ""), 0, `${manifest.version}\n`, ""],
])("under Node %s, it ends with code %i", (version, status, stdout, stderr) => {
  const pretend = `data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"${version}"}})`;
  const run = spawnSync(process.execPath, ["--import", pretend, "bin/ernie-vl.js", "--version"], { cwd: root, encoding: "utf8" });

  expect(run).toMatchObject({ status, stdout, stderr });
});
