// GET /version: which program answers, and on what.

import type { Handler } from "hono";
import type { AppOptions } from "./app-options.ts";
import { programVersion } from "../version.ts";

export function version({ hardware }: Pick<AppOptions, "hardware">): Handler {
  const answer = { version: programVersion(), ...hardware };
  return (c) => c.json(answer);
}
