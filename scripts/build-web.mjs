// Bundles web/ into dist/web: index.html, and assets with a hash in their names, so that browsers can cache them forever. URLs are relative,
// so that a proxy can serve the page under another path. The script ends with the licences of the packages in it, which each copy must contain.

import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const source = fileURLToPath(new URL("../web", import.meta.url));
const target = fileURLToPath(new URL("../dist/web", import.meta.url));

rmSync(target, { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: [`${source}/main.tsx`, `${source}/style/page.css`],
  absWorkingDir: source,
  outdir: `${target}/assets`,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["chrome123", "firefox121", "safari17.5"],
  jsx: "automatic",
  jsxImportSource: "preact",
  loader: { ".png": "file", ".svg": "file", ".woff2": "file" },
  entryNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  publicPath: "assets",
  metafile: true,
  logLevel: "warning",
});

const builtFrom = (entry) => {
  const [path] = Object.entries(metafile.outputs).find(
    ([, output]) => output.entryPoint === entry || (entry in output.inputs && !output.entryPoint),
  );
  return `assets/${basename(path)}`;
};
const packages = new Set(Object.keys(metafile.inputs).flatMap((path) => path.match(/^.*node_modules\/(@[^/]+\/)?[^/]+/)?.[0] ?? []));
for (const name of packages) {
  const licence = readFileSync(`${source}/${name}/LICENSE`, "utf8");
  appendFileSync(`${target}/${builtFrom("main.tsx")}`, `/*!\n${licence}*/\n`);
}
// Unlike those in the script, its addresses are relative to the file itself.
const style = `${target}/${builtFrom("style/page.css")}`;
writeFileSync(style, readFileSync(style, "utf8").replaceAll('url("assets/', 'url("'));

const html = readFileSync(`${source}/index.html`, "utf8")
  .replace("%script%", builtFrom("main.tsx"))
  .replace("%style%", builtFrom("style/page.css"))
  .replace("%icon%", builtFrom("icon.svg"));
mkdirSync(target, { recursive: true });
writeFileSync(`${target}/index.html`, html);
