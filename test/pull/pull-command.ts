// The pull command as a process of its own, for tests that kill it: node --import tsx pull-command.ts REPO OUT [REVISION]

import { pull } from "../../src/cli/pull.ts";
import { UserError } from "../../src/core/errors.ts";

const [repo = "", out, revision = "main"] = process.argv.slice(2);

try {
  await pull({ repo, revision, out }, (line) => void process.stdout.write(`${line}\n`));
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`ernie-vl: ${error.message}\n`);
  process.exit(1);
}
