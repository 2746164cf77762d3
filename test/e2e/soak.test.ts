// A short soak on the whole program; `npm run soak` sends thousands, and looks at memory and time besides.

import { afterAll, beforeAll, expect, test } from "vitest";
import { runSoak } from "../../scripts/soak/run-soak.ts";
import { type RunningServer, startServer } from "./start-server.ts";

let server: RunningServer;
beforeAll(async () => {
  server = await startServer(["--weights", "fp32", "--max-waiting", "60"]);
});
afterAll(async () => {
  await server?.stop();
});

test("150 requests of every kind, many of whose clients leave or stall, get what they deserve and leave nothing behind", async () => {
  const report = await runSoak(server, { requests: 150, connections: 32, seed: 2, deadlineMs: 500_000, patienceMs: 2_000 });

  expect(report.problems).toEqual([]);
  const verdicts = [...report.counts.values()];
  expect(verdicts.reduce((sum, { right }) => sum + right, 0)).toBeGreaterThan(60);
  expect(verdicts.reduce((sum, { left }) => sum + left, 0)).toBeGreaterThan(15);
}, 900_000);
