// Reads a Dockerfile and a .dockerignore: as much of their syntax as ours use.

export type Instruction = {
  /** `COPY`, `RUN`, … */
  readonly keyword: string;
  /** The rest, on one line, with build arguments filled in. */
  readonly text: string;
};

export type Stage = { readonly name: string; readonly image: string; readonly instructions: readonly Instruction[] };

/** Throws an Error where an argument is used that has no value. */
export function parseDockerfile(source: string): Stage[] {
  const args = new Map<string, string>();
  const stages: { name: string; image: string; instructions: Instruction[] }[] = [];
  const lines = source.split("\n").filter((line) => !line.trimStart().startsWith("#"));
  for (const line of lines
    .join("\n")
    .replace(/\\\n\s*/g, "")
    .split("\n")) {
    const [, keyword, rest] = /^([A-Z]+)\s+(.*)$/.exec(line.trim()) ?? [];
    if (keyword === undefined || rest === undefined) continue;
    const text = keyword === "RUN" ? rest : rest.replace(/\$\{(\w+)\}/g, (_, name: string) => valueOf(args, name));
    if (keyword === "ARG") {
      const [name, value] = text.split("=") as [string, string?];
      if (value !== undefined) args.set(name, value);
    } else if (keyword === "FROM") {
      const [image, , name] = text.split(/\s+/) as [string, string?, string?];
      stages.push({ name: name ?? String(stages.length), image, instructions: [] });
    } else {
      stages.at(-1)!.instructions.push({ keyword, text });
    }
  }
  return stages;
}

function valueOf(args: ReadonlyMap<string, string>, name: string): string {
  const value = args.get(name);
  if (value === undefined) throw new Error(`the Dockerfile uses \${${name}} without ARG ${name}=…`);
  return value;
}

export type Copy = { readonly from: string | undefined; readonly sources: readonly string[]; readonly target: string };

export function parseCopy(text: string): Copy {
  const words = text.split(/\s+/);
  const from = words[0]!.startsWith("--from=") ? words.shift()!.slice("--from=".length) : undefined;
  return { from, sources: words.slice(0, -1), target: words.at(-1)! };
}

/** Whether a .dockerignore keeps `path` (relative, of a file or folder) out of the build context; the last rule that covers it counts. */
export function isIgnored(dockerignore: string, path: string): boolean {
  const rules = dockerignore.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return rules.reduce((ignored, rule) => {
    const isException = rule.startsWith("!");
    const pattern = isException ? rule.slice(1) : rule;
    return pattern === "*" || path === pattern || path.startsWith(`${pattern}/`) ? !isException : ignored;
  }, false);
}
