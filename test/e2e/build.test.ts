// What `npm run build` makes beside the program.

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
