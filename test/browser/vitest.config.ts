// Tests that drive a browser: `npm run test:browser`, after `npm run build`. Two files at a time: each has a server and a browser.

import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/browser/**/*.test.ts"],
    testTimeout: 600_000,
    hookTimeout: 600_000,
    expect: { poll: { timeout: 120_000 } },
    maxWorkers: 2,
    // .ci/run adds these totals to those of the other tests.
    reporters: process.env["CI"] ? ["default", "json"] : ["default"],
    outputFile: { json: "work/browser-test-results.json" },
  },
});
