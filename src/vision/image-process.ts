// The entry point of a process that loads one picture: the task arrives on standard input, its result leaves on standard output.

import { buffer } from "node:stream/consumers";
import { deserialize, serialize } from "node:v8";
import { runImageTask, type ImageTask } from "./image-task.ts";

const task = deserialize(await buffer(process.stdin)) as ImageTask;
const result = await runImageTask(task);
process.stdout.end(serialize({ result, pixelsLeft: task.request.pixelBudget?.[0] }));
