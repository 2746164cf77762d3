// What `npm run build` makes beside the program, and what a package of it contains.

import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

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

  const needed = ["dist/main.js", "dist/web/index.html", "models/ernie-vl-nano/model.safetensors", "kernels/library.cc"];
  expect(paths).toEqual(expect.arrayContaining([...needed, "scripts/kernels/build.mjs", "scripts/gpu/install-provider.mjs", "LICENSE"]));
  expect(paths.filter((path) => /\.(ts|map|so)$|^(src|test|bench)\//.test(path))).toEqual([]);
});
