// Reads Prometheus's text format as strictly as Prometheus does: each name has one HELP and one TYPE before its samples, no sample
// comes twice, buckets add up.

type Sample = { readonly name: string; readonly labels: Readonly<Record<string, string>>; readonly value: number };

/** Looks up the sum of all samples that have the name and these labels. Throws where the text is not in the format. */
export function parseMetrics(text: string): (name: string, labels?: Readonly<Record<string, string>>) => number {
  const samples: Sample[] = [];
  const types = new Map<string, string>();
  const seen = new Set<string>();
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.+)$/.exec(line);
    if (comment?.[1] === "TYPE") declare(types, comment[2]!, comment[3]!);
    else if (!comment) {
      const sample = toSample(line);
      check(types.has(familyOf(sample.name, types)), `a type comes before ${line}`);
      const identity = JSON.stringify([sample.name, Object.entries(sample.labels).toSorted()]);
      check(!seen.has(identity), `only one ${line}`);
      seen.add(identity);
      samples.push(sample);
    }
  }
  for (const [name, type] of types) if (type === "histogram") checkBuckets(samples, name);
  return (name, labels = {}) =>
    samples
      .filter((sample) => sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value))
      .reduce((sum, { value }) => sum + value, 0);
}

function declare(types: Map<string, string>, name: string, type: string): void {
  check(!types.has(name), `one type of ${name}`);
  types.set(name, type);
}

function toSample(line: string): Sample {
  const match = /^([a-zA-Z_:][\w:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\]|\\[\\n"])*",?)*)\})? (\S+)$/.exec(line);
  check(match !== null, `a sample: ${line}`);
  const value = Number(match![3]!.replace("Inf", "Infinity"));
  check(!Number.isNaN(value) || /^nan$/i.test(match![3]!), `a number: ${line}`);
  const labels = [...(match![2] ?? "").matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)].map(([, name, text]) => [name!, unescape(text!)]);
  return { name: match![1]!, labels: Object.fromEntries(labels), value };
}

function unescape(text: string): string {
  return text.replaceAll(/\\(.)/g, (_, character: string) => (character === "n" ? "\n" : character));
}

/** The name without what a histogram appends to it. */
function familyOf(name: string, types: ReadonlyMap<string, string>): string {
  const base = name.replace(/_(bucket|sum|count)$/, "");
  return types.get(base) === "histogram" ? base : name;
}

function checkBuckets(samples: readonly Sample[], name: string): void {
  const series = new Map<string, Sample[]>();
  for (const sample of samples.filter((candidate) => candidate.name === `${name}_bucket`)) {
    const { le: _, ...labels } = sample.labels;
    const key = JSON.stringify(labels);
    series.set(key, [...(series.get(key) ?? []), sample]);
  }
  for (const [key, buckets] of series) {
    const counts = buckets.map(({ value }) => value);
    check(
      counts.every((count, i) => i === 0 || count >= counts[i - 1]!),
      `${name}${key} grows from bucket to bucket`,
    );
    const total = samples.find((sample) => sample.name === `${name}_count` && JSON.stringify(sample.labels) === key);
    check(buckets.at(-1)!.labels["le"] === "+Inf" && counts.at(-1) === total?.value, `${name}${key} has all in its last bucket`);
  }
}

function check(condition: boolean, expected: string): void {
  if (!condition) throw new Error(`expected ${expected}`);
}
