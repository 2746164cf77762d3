// GET /version: which program answers.

import type { Handler } from "hono";
import { programVersion } from "../version.ts";

export function version(): Handler {
  const answer = { version: programVersion() };
  return (c) => c.json(answer);
}
