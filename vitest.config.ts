import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/browser/**"], // npm run test:browser
    maxWorkers: "100%", // by default one core is left idle, but many tests wait for programs they have started
    // What ends later hangs; a busy machine may take many times what a good one takes.
    testTimeout: 180_000,
    hookTimeout: 240_000,
    expect: { poll: { timeout: 30_000 } },
    setupFiles: process.env["CI"] ? ["test/fixed-seed.ts"] : [],
    // .ci/run prints the totals from the file.
    reporters: process.env["CI"] ? ["default", "json"] : ["default"],
    outputFile: { json: "work/test-results.json" },
  },
});
