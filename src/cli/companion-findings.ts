// Checks the small files of a model folder by loading them as the server would, and says what replaces a missing one.

import { existsSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";
import { readTemplateSource } from "../chat/template-source.ts";
import { loadTemplate } from "../chat/template.ts";
import { loadTokenizer } from "../chat/tokenizer.ts";
import { readProcessorSettings } from "../convert/processor-settings.ts";
import { find, type Finding } from "./finding.ts";
import { readGenerationDefaults } from "./generation-config.ts";

export function companionFindings(folder: string): Finding[] {
  return [
    find("tokenizer", () => {
      loadTokenizer(folder);
      const files = readdirSync(folder).filter((name) => name === "tokenizer.json" || name.endsWith(".model"));
      return { mark: "ok", lines: [files.join(", ")] };
    }),
    find("chat template", () => {
      loadTemplate(folder);
      const { path } = readTemplateSource(folder);
      const isOwn = existsSync(path);
      return isOwn ? { mark: "ok", lines: [basename(path)] } : { mark: "note", lines: [`none in the folder, using ${path}`] };
    }),
    find("preprocessor", () => {
      const found = readProcessorSettings(folder, "image_processor", z.looseObject({}));
      if (found) return { mark: "ok", lines: [basename(found.path)] };
      return { mark: "note", lines: ["no preprocessor_config.json: using the picture sizes and normalization of the published 28B"] };
    }),
    find("sampling", () => {
      const file = "generation_config.json";
      if (!existsSync(join(folder, file))) return { mark: "note", lines: [`no ${file}: using the API's default sampling`] };
      readGenerationDefaults(folder);
      return { mark: "ok", lines: [file] };
    }),
  ];
}
