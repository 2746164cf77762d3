// What a starting server tells its operator.

import { kernelsBuildCommand } from "../core/package-commands.ts";
import { describeDevice, type ComputeDevice } from "./choose-device.ts";
import { describeMemory, type MemoryPlan } from "./memory-plan.ts";
import type { PreparedModel } from "./prepare-model.ts";
import type { ServeOptions } from "./serve.ts";

export function sayModel(
  { folder, manifest }: PreparedModel,
  device: ComputeDevice,
  memory: MemoryPlan,
  say: (line: string) => void,
): void {
  const { settings, source } = manifest;
  say(`model    ${source.name}, ${settings.weights} weights, ${settings.activations} activations`);
  say(`         ${folder}`);
  say(
    settings.experts === "modality-moe"
      ? "experts  our own kernels, also for linear layers"
      : `experts  ONNX Runtime's operators; ${kernelsBuildCommand()} builds much faster ones for the next start`,
  );
  say(`device   ${describeDevice(device)}`);
  for (const [name, text] of Object.entries(describeMemory(memory, manifest))) say(`${name.padEnd(9)}${text}`);
}

/** Sources that pictures may come from. */
export function describeMedia({ mediaDomains, mediaFolders }: ServeOptions): string {
  const sources = ["data URIs"];
  if (mediaDomains.length > 0) sources.push(`downloads from ${mediaDomains.join(", ")}`);
  if (mediaFolders.length > 0) sources.push(`files in ${mediaFolders.join(", ")}`);
  return sources.length > 1 ? sources.join("; ") : "data URIs only (more with --allow-media-domain and --allow-media-path)";
}

type Usage = { readonly modelId: string; readonly hasKeys: boolean; readonly web: boolean };

export function sayHowToUse(url: string, { modelId, hasKeys, web }: Usage, say: (line: string) => void): void {
  const key = hasKeys ? " -H 'authorization: Bearer KEY'" : "";
  const here = toLocalAddress(url);
  const body = JSON.stringify({ model: modelId, messages: [{ role: "user", content: "What is the capital of France?" }] });
  say("");
  say(`Listening on ${url}  (OpenAI base URL: ${here}/v1)`);
  say("");
  if (web) say(`  Open ${here} in a browser, or ask from a terminal:\n`);
  say(`  npx ernie-vl chat --url ${here}${hasKeys ? " --api-key KEY" : ""}`);
  say(`  curl ${here}/v1/chat/completions${key} -H 'content-type: application/json' -d '${body.replaceAll("'", String.raw`'\''`)}'`);
  say("");
}

/** The wildcard address is not one that every client can connect to. */
function toLocalAddress(url: string): string {
  return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
}
