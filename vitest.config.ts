import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/browser/**"], // npm run test:browser
    maxWorkers: "100%", // by default one core is left idle, but many tests wait for programs they have started
    // What ends later hangs: a test of 10 s has taken over 120 s on a busy machine.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    expect: { poll: { timeout: 120_000 } },
    setupFiles: process.env["CI"] ? ["test/fixed-seed.ts"] : [],
    // .ci/run prints the totals from the file.
    reporters: process.env["CI"] ? ["default", "json"] : ["default"],
    outputFile: { json: "work/test-results.json" },
  },
});
