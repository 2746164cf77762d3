// Recognises checkpoints in Paddle's own format: they hold the same weights transposed and fused, under other names (model spec, 2.3).

import { readdirSync, statSync } from "node:fs";
import { checkpointName } from "../core/checkpoint-name.ts";
import { UserError } from "../core/errors.ts";

const paddleName = /(ERNIE-[\w.-]*?)-Paddle$/i;
const fusedTensor = /\.(up_gate_proj|qkv_proj)\.weight$/;

/** Throws a UserError that names the repository to use instead when the folder's name or files are those of Paddle's format. */
export function refusePaddleFolder(folder: string): void {
  if (paddleRepository(folder)) throw refusal(folder, "its name");
  const isFolder = statSync(folder, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const weights = isFolder && readdirSync(folder).find((name) => name.endsWith(".pdparams"));
  if (weights) throw refusal(folder, weights);
}

/** Like `refusePaddleFolder`, by the names of the tensors. */
export function refusePaddleTensors(folder: string, names: Iterable<string>): void {
  for (const name of names) if (fusedTensor.test(name)) throw refusal(folder, `the fused tensor ${name}`);
}

function refusal(folder: string, evidence: string): UserError {
  const model = paddleRepository(folder);
  const instead = model
    ? `download baidu/${model}-PT instead, which has the same weights`
    : "download the same model's repository whose name ends in -PT instead, such as baidu/ERNIE-4.5-VL-28B-A3B-PT";
  return new UserError(
    `${folder}: expected a checkpoint in Hugging Face's format, got one in Paddle's (recognized by ${evidence}); ${instead}`,
  );
}

/** `ERNIE-4.5-VL-28B-A3B` for a checkpoint named `ERNIE-4.5-VL-28B-A3B-Paddle`. */
function paddleRepository(folder: string): string | undefined {
  return paddleName.exec(checkpointName(folder))?.[1];
}
