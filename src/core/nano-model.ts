// The trained nano checkpoint that comes with the program.

import { fileURLToPath } from "node:url";

/** Its folder, which lies beside both src/ and dist/. */
export const nanoModel = fileURLToPath(new URL("../../models/ernie-vl-nano", import.meta.url));
