import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { isIgnored, parseCopy, parseDockerfile, type Stage } from "../../scripts/gpu/dockerfile.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (name: string) => readFileSync(join(root, name), "utf8");
const dockerignore = read(".dockerignore");
/** The text of the last such instruction in the stage that becomes the image. */
const textOf = (stages: readonly Stage[], keyword: string) =>
  stages.at(-1)!.instructions.findLast((instruction) => instruction.keyword === keyword)?.text ?? "";
const gpuStages = parseDockerfile(read("Dockerfile.gpu"));

describe.each([
  ["Dockerfile", parseDockerfile(read("Dockerfile"))],
  ["Dockerfile.gpu", gpuStages],
] as const)("%s", (_, stages) => {
  it("names every base image with a full version", () => {
    expect(stages.length).toBeGreaterThan(1);
    for (const { image } of stages) expect(image).toMatch(/:\d+\.\d+\.\d+-/);
  });

  const copies = stages.flatMap(({ instructions }) =>
    instructions.filter(({ keyword }) => keyword === "COPY").map(({ text }) => parseCopy(text)),
  );
  it.each(copies.filter(({ from }) => from === undefined).flatMap(({ sources }) => sources))(
    "copies %s, which exists and is in the build context",
    (source) => {
      expect(existsSync(join(root, source))).toBe(true);
      expect(isIgnored(dockerignore, source)).toBe(false);
    },
  );

  it("calls scripts that exist, so that each step runs outside a container too", () => {
    const scripts = stages.flatMap(({ instructions }) =>
      instructions.filter(({ keyword }) => keyword === "RUN").flatMap(({ text }) => text.match(/scripts\/\S+\.mjs/g) ?? []),
    );
    expect(scripts.length).toBeGreaterThan(0);
    for (const script of scripts) expect(existsSync(join(root, script)), script).toBe(true);
  });

  it("runs as an ordinary user, by number: Kubernetes' runAsNonRoot takes no names", () => {
    const created = /useradd --uid (\d+)/.exec(
      stages
        .at(-1)!
        .instructions.map(({ text }) => text)
        .join("\n"),
    )?.[1];
    expect([textOf(stages, "USER"), Number(created) > 0]).toEqual([created, true]);
  });

  it("asks /health of the port that it exposes", () =>
    expect(textOf(stages, "HEALTHCHECK")).toContain(`:${textOf(stages, "EXPOSE")}/health`));

  it("listens for others without switching the demand for a key off", () => {
    expect(textOf(stages, "CMD")).toContain("0.0.0.0");
    expect(textOf(stages, "CMD") + textOf(stages, "ENV")).not.toMatch(/insecure|API_KEY/);
  });
});

describe("Dockerfile.gpu", () => {
  it("takes the CUDA major version that the provider and the kernels are built for", () => {
    for (const { image } of gpuStages.slice(1)) expect(image).toMatch(/^nvidia\/cuda:13\./);
  });
});

it("a build argument without a value is refused", () => {
  expect(() => parseDockerfile("FROM image:${NONE}")).toThrow("ARG NONE");
});

describe(".dockerignore", () => {
  it.each(["node_modules", "dist", ".git", "work", "kernels/build", "kernels/build/x.o", "test", ".env", "models/other/model.safetensors"])(
    "leaves %s out of the build context",
    (path) => expect(isIgnored(dockerignore, path)).toBe(true),
  );
});

describe("compose.yaml", () => {
  const compose = read("compose.yaml");

  it("starts what the image would start, plus a model", () => {
    const command = JSON.parse(textOf(gpuStages, "CMD")) as string[];
    expect(compose).toContain(command.map((word) => JSON.stringify(word)).join(", "));
  });

  it("demands a key and reserves a GPU", () => {
    expect(compose).toContain("ERNIE_VL_API_KEY: ${ERNIE_VL_API_KEY:?");
    expect(compose).toContain("capabilities: [gpu]");
  });
});

describe("install-provider", () => {
  const script = join(root, "scripts", "gpu", "install-provider.mjs");

  it("is for the ONNX Runtime that package.json pins", () => {
    const { dependencies } = JSON.parse(read("package.json")) as { dependencies: Record<string, string> };
    expect(readFileSync(script, "utf8")).toContain(`onnxruntime: "${dependencies["onnxruntime-node"]}"`);
  });

  it("comes from the release whose headers the kernels are built with", () => {
    const release = (text: string) => /com\.github\.asus4\.onnxruntime[\w.-]*@([\d.]+)/.exec(text)?.[1];
    expect(release(readFileSync(script, "utf8"))).toBe(release(read("scripts/kernels/build.mjs")));
  });

  it("refuses an archive with another hash and writes nothing", () => {
    const folder = temporaryFolder();
    const args = [script, "--into", folder, "--archive", join(root, "package.json")];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^com\.github\S+: expected sha512-\S+, got sha512-\S+; fetch it again\n$/);
    expect(readdirSync(folder)).toEqual([]);
  });
});
