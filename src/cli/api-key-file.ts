// The file of --api-key-file: one key per line, with the name of its client before it. It is read again when it changes, so that keys come
// and go while the model stays loaded.

import { readFile } from "node:fs/promises";
import { setInterval } from "node:timers/promises";
import { type ApiKey, ApiKeys } from "../api/api-keys.ts";
import type { Log } from "../api/app-options.ts";
import { UserError } from "../core/errors.ts";
import { readText, systemReason } from "../core/file-system.ts";
import { isApiKey } from "./options.ts";

const expected = "expected NAME KEY, or a KEY alone";
/** Names appear in log lines and as labels of metrics. */
const saneName = /^[\p{L}\p{N}._@-]{1,64}$/u;
const defaultPollMs = 2000;

type Options = {
  readonly apiKeys: readonly string[];
  readonly apiKeyFile: string | undefined;
  /** How often to look at the file, in milliseconds. */
  readonly pollMs?: number;
};

/**
 * The keys of the command line and of the file. They follow the file: when it changes, its keys are replaced; when it cannot be used, they stay
 * and the log says so. Throws UserError for a file that cannot be used at the start.
 */
export function openApiKeys({ apiKeys, apiKeyFile, pollMs = defaultPollMs }: Options, log: Log, say: (line: string) => void): ApiKeys {
  const ownKeys = apiKeys.map((key) => ({ key }));
  const accepted = new ApiKeys(ownKeys);
  if (apiKeyFile === undefined) return accepted;
  let text = readText(apiKeyFile);
  const readKeys = () => {
    const keys = parseApiKeys(text, apiKeyFile);
    accepted.replace([...ownKeys, ...keys]);
    return { keys: keys.length, named: keys.filter(({ name }) => name !== undefined).length };
  };
  const { keys, named } = readKeys();
  say(`keys     ${keys} (${named} with a name) from ${apiKeyFile}, which is read again when it changes`);
  void follow();
  return accepted;

  /** By its content rather than by events: editors and Kubernetes put another file in its place, and network drives send none. */
  async function follow(path = apiKeyFile!): Promise<void> {
    let fault: string | undefined;
    for await (const _ of setInterval(pollMs, undefined, { ref: false })) {
      try {
        const newText = await readFile(path, "utf8");
        fault = undefined;
        if (newText === text) continue;
        text = newText;
        log.info(readKeys(), "API keys read again");
      } catch (error) {
        const reason = error instanceof UserError ? error.message : `cannot read ${path}: ${systemReason(error)}`;
        if (reason !== fault) log.error({ reason }, "API keys not read again; those from before are still accepted");
        fault = reason;
      }
    }
  }
}

/** Throws UserError, without repeating a key, for a line that is not understood, and for a file without keys: it would open the server. */
export function parseApiKeys(text: string, path: string): readonly ApiKey[] {
  const keys = new Map<string, { readonly key: string; readonly name?: string; readonly line: number }>();
  const lines = text.replace(/^\uFEFF/, "").split("\n");
  for (const [index, content] of lines.entries()) {
    const words = content.trim().split(/\s+/);
    if (words[0] === "" || words[0]!.startsWith("#")) continue;
    const line = index + 1;
    const fail = (got: string) => new UserError(`${path}, line ${line}: ${expected}, got ${got}`);
    if (words.length > 2) throw fail(`${words.length} words`);
    const key = words.at(-1)!;
    const name = words.length === 2 ? words[0]! : undefined;
    if (!isApiKey(key)) throw fail("a key that is not printable ASCII");
    if (name !== undefined && !saneName.test(name))
      throw fail("a name of other characters than letters, digits and . _ @ -, or of more than 64");
    const before = keys.get(key);
    if (before) throw fail(`the key of line ${before.line} again`);
    keys.set(key, { key, line, ...(name !== undefined && { name }) });
  }
  if (keys.size === 0) throw new UserError(`${path}: ${expected}, in each line, got no key`);
  return [...keys.values()];
}
