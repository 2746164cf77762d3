// Entry of a worker thread that converts: plans once, then does one task at a time.

import { workerData } from "piscina";
import { UserError } from "../core/errors.ts";
import { TaskThread, type Task, type TaskResult, type WorkerSetup } from "./job-pool.ts";

let thread: TaskThread | undefined;

export default function work(task: Task): TaskResult {
  try {
    thread ??= new TaskThread(workerData as WorkerSetup);
    return thread.run(task);
  } catch (error) {
    if (error instanceof UserError) return { refused: error.message };
    throw error;
  }
}
