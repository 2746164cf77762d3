import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { UserError } from "../../src/core/errors.ts";
import { planConversion } from "../../src/convert/plan.ts";
import { readModelConfig } from "../../src/convert/read-config.ts";
import { hubConfig, type Json, nativeConfig, writeCheckpoint } from "./tiny-checkpoint.ts";

const odd: readonly unknown[] = [null, 0, -1, 1.5, 3, 64, 2 ** 31, 1e15, 1e300, "x", true, [], {}, [1], [2, 1], [1, 2, 3]];

/** The config with one of its values replaced, for every place of a value and every odd value. */
function* variants(config: Json, at: readonly string[] = []): Generator<Json> {
  for (const [key, value] of Object.entries(at.reduce((inner, name) => inner[name] as Json, config))) {
    for (const other of odd) {
      const variant = structuredClone(config);
      at.reduce((inner, name) => inner[name] as Json, variant)[key] = other;
      yield variant;
    }
    if (typeof value === "object" && value !== null) yield* variants(config, [...at, key]);
  }
}

test.each([
  ["hub", hubConfig],
  ["native", nativeConfig],
])("whatever stands in place of a value of the %s layout's config, it is planned for soon or refused in a line", (_, config) => {
  const folder = writeCheckpoint(config, {});
  let planned = 0;
  for (const variant of variants(config)) {
    writeFileSync(join(folder, "config.json"), JSON.stringify(variant));
    try {
      planConversion({ config: readModelConfig(folder), settings: { weights: "fp32", activations: "fp32" }, inspect: false });
      planned++;
    } catch (error) {
      expect(error, JSON.stringify(variant)).toBeInstanceOf(UserError);
    }
  }
  expect(planned).toBeGreaterThan(50);
});
