// The jobs of jobs.test.ts, as a program whose processes end in every way.

import { existsSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { performJob, type Job, type JobContext, type JobOrder } from "../../scripts/gpu/job.ts";

const job = (name: string, run: (context: JobContext) => Promise<void> | void): Job => ({
  name,
  question: "",
  limitSeconds: 30,
  run: (context) => {
    context.record("before", 1);
    return run(context);
  },
});

const jobs = [
  job("well", () => undefined),
  job("throws", () => {
    throw new Error("as planned");
  }),
  job("crashes", () => void process.kill(process.pid, "SIGSEGV")),
  job("hangs", () => new Promise((never) => setInterval(never, 1 << 30))),
  job("waits", async ({ settings }) => {
    while (!existsSync(settings["go"] as string)) await setTimeout(20);
  }),
  job("complains", ({ say, fail }) => {
    say("x 2");
    fail("too large");
  }),
  job("reads-environment", ({ record }) => record("JOB_TEST", process.env["JOB_TEST"])),
];

await performJob(jobs, JSON.parse(process.argv.at(-1)!) as JobOrder);
