import { expect, test } from "vitest";
import { createLogger } from "../../src/cli/create-logger.ts";
import { UserError } from "../../src/core/errors.ts";

test.each([
  [undefined, "info"],
  ["", "info"],
  ["warn", "warn"],
  ["DEBUG", "debug"],
])("LOG_LEVEL %j logs at level %s", (text, level) => {
  expect(createLogger({ LOG_LEVEL: text }).level).toBe(level);
});

test("a level that there is not is the operator's error", () => {
  expect(() => createLogger({ LOG_LEVEL: "verbose" })).toThrow(
    new UserError('LOG_LEVEL: expected trace, debug, info, warn, error, fatal, silent, got "verbose"'),
  );
});
