// scripts/gpu/session.sh without a GPU: a compiler and kernels' tests of our own in the place of nvcc's. Whatever fails, the rest is there.

import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const scripts = fileURLToPath(new URL("../../scripts/gpu", import.meta.url));

/** Compiles no operator named broken; the tests of failing end with 3 after their first line. */
const compiler = `#!/bin/bash
if [ "$1" = --version ]; then echo "compiler of this test"; exit; fi
while [ "$1" != -o ]; do shift; done
op=$(basename "$2")
if [ "$op" = broken ]; then echo "broken.cu: no such thing" >&2; exit 2; fi
printf '#!/bin/bash\\necho "%s $*: measured"\\n[ %s != failing ] || exit 3\\n' "$op" "$op" >"$2"
chmod +x "$2"
`;

let host: string;
beforeEach(() => {
  host = mkdtempSync(join(tmpdir(), "ernie-vl-session-"));
  for (const folder of ["bin", "parts"]) mkdirSync(join(host, folder));
  addProgram("nvcc", compiler);
  addProgram("compute-sanitizer", "#!/bin/bash\n");
});
afterEach(() => rmSync(host, { recursive: true }));

function addProgram(name: string, text: string): void {
  writeFileSync(join(host, "bin", name), text);
  chmodSync(join(host, "bin", name), 0o755);
}

function addOperators(...names: string[]): void {
  for (const name of names) {
    mkdirSync(join(host, "kernels", "ops", name), { recursive: true });
    writeFileSync(join(host, "kernels", "ops", name, `${name}_cuda_test.cu`), "");
  }
}

/** Runs a call as on a lent host, whose $OUT is emptied before each. */
function call(number: string): { status: number | null; printed: string; results: Record<string, string> } {
  const out = join(host, "out");
  rmSync(out, { recursive: true, force: true });
  const env = {
    ...process.env,
    PATH: `${join(host, "bin")}:${process.env["PATH"]}`,
    LC_ALL: "C", // bash complains of a locale that is not installed
    OUT: out,
    PARTS: join(host, "parts"),
    KIT: join(host, "kit"),
    DEST: join(host, "gpu"),
    MODELS: join(host, "models"),
  };
  const { status, stdout, stderr } = spawnSync("bash", [join(scripts, "session.sh"), number], { cwd: host, env, encoding: "utf8" });
  const results = Object.fromEntries(readdirSync(out).map((name) => [name, readFileSync(join(out, name), "utf8")]));
  return { status, printed: stdout + stderr, results };
}

describe("a session on a lent host", () => {
  test("has the host's facts and each kernel's test in files", () => {
    addOperators("one", "two");

    const { status, results } = call("1");

    expect(status).toBe(0);
    expect(results["host.txt"]).toContain("compiler of this test");
    expect(results).toMatchObject({ "kernel-test-one.txt": "one : measured\n", "kernel-test-two.txt": "two : measured\n" });
    expect(results["failed.txt"]).toBeUndefined();
  });

  test("goes on behind a kernel that does not compile and one whose test fails, keeps what they said, and ends with 1", () => {
    addOperators("broken", "failing", "modality_moe");

    const first = call("1");
    const second = call("2");

    expect(first.status).toBe(1);
    expect(first.results["kernel-build.txt"]).toBe("broken.cu: no such thing\nnvcc cannot build broken\n");
    expect(first.results).toMatchObject({
      "kernel-test-failing.txt": "failing : measured\n",
      "kernel-test-modality_moe.txt": "modality_moe : measured\n",
      "failed.txt": "FAILED: kernel-test-broken: not built\nFAILED: kernel-test-failing.txt: ended with 3\n",
    });
    expect(second).toMatchObject({ status: 0, results: { "kernel-bench.txt": "modality_moe --bench: measured\n" } });
    expect(second.results["kernel-sanitizer.txt"]!.split("\n").slice(1, -1).toSorted()).toEqual([
      "failing: memcheck: nothing found",
      "failing: racecheck: nothing found",
      "modality_moe: memcheck: nothing found",
      "modality_moe: racecheck: nothing found",
    ]);
  });

  test("goes on with the second tool of compute-sanitizer where the first finds something, and ends with 1", () => {
    addOperators("modality_moe");
    addProgram("compute-sanitizer", '#!/bin/bash\necho "looks for $2"\n[ "$2" != racecheck ] || exit 9\n');

    call("1");
    const { status, results } = call("2");

    expect(status).toBe(1);
    expect(results["kernel-sanitizer.txt"]!.split("\n").slice(1, -1)).toEqual([
      "modality_moe: looks for racecheck",
      "modality_moe: racecheck: ended with 9",
      "modality_moe: looks for memcheck",
      "modality_moe: memcheck: nothing found",
    ]);
    expect(results["failed.txt"]).toBe("FAILED: kernel-sanitizer.txt: ended with 9\n");
  });

  test("brings the results of earlier calls again", () => {
    addOperators("one");

    call("1");
    call("keep");
    call("keep");

    const again = spawnSync("tar", ["-xzf", join(host, "out", "earlier.tar.gz"), "-O", "./1/kernel-test-one.txt"], { encoding: "utf8" });
    expect(again.stdout).toBe("one : measured\n");
  });

  test.each([
    ["2", "FAILED: kernel-bench: call 1 has not built it\n"],
    ["4", /enter\.sh is not there: call 3 unpacks the kit\n$/],
    ["5", "FAILED: there is no call 5\n"],
  ])("says why there is nothing to do for call %s", (number, expected) => {
    const { status, results } = call(number);

    expect(status).toBe(1);
    expect(results["failed.txt"]).toMatch(expected);
  });

  test("starts nothing from a kit of which a part is damaged", () => {
    copyFileSync(join(scripts, "unpack.sh"), join(host, "parts", "unpack.sh"));
    writeFileSync(join(host, "parts", "kit.part.00"), "damaged");
    writeFileSync(join(host, "parts", "kit.sha256"), `${"0".repeat(64)}  kit.part.00\n`);

    const { status, results } = call("3");

    expect(status).toBe(1);
    expect(results["unpack.txt"]).toContain("kit.part.00: FAILED");
    expect(results["failed.txt"]).toContain("call 3 unpacks the kit");
    expect(existsSync(join(host, "models"))).toBe(false);
  });

  const hasXz = spawnSync("xz", ["--version"]).status === 0;
  test.skipIf(!hasXz)("finds CUDA's libraries where the loader's list is long, and enters the kit", () => {
    const kit = join(host, "kit-made-here");
    for (const name of ["bin", "dist", "kernels/build"]) mkdirSync(join(kit, name), { recursive: true });
    writeFileSync(join(kit, "commit"), "abc\n");
    writeFileSync(join(kit, "bin", "node"), "#!/bin/bash\n");
    chmodSync(join(kit, "bin", "node"), 0o755);
    const pack = 'tar -C "$1" -cJf "$2/kit.part.00" . && cd "$2" && sha256sum kit.part.00 >kit.sha256';
    spawnSync("bash", ["-c", pack, "bash", kit, join(host, "parts")]);
    const names = ["libcudart.so.13", "libcublas.so.13", "libcublasLt.so.13", "libcurand.so.10"];
    const others = Array.from({ length: 4000 }, (_, i) => `\tlibother${i}.so.1 (libc6,x86-64) => /usr/lib/libother${i}.so.1`);
    const list = [...names.map((name) => `\t${name} (libc6,x86-64) => /cuda/lib/${name}`), ...others].join("\n");
    addProgram("ldconfig", `#!/bin/bash\ncat <<END\n${list}\nEND\n`);
    const command = 'bash "$1" parts kit && . kit/enter.sh && echo "$LD_LIBRARY_PATH $ERNIE_VL_COMMIT"';
    const env = { ...process.env, PATH: `${join(host, "bin")}:${process.env["PATH"]}`, LD_LIBRARY_PATH: "/before" };

    const { stdout } = spawnSync("bash", ["-c", command, "bash", join(scripts, "unpack.sh")], { cwd: host, env, encoding: "utf8" });

    expect(stdout.trim().split("\n").at(-1)).toBe("/cuda/lib:/before abc");
  });

  test("keeps the parts of each call for the one that unpacks them", () => {
    writeFileSync(join(host, "parts", "kit.part.00"), "first");
    call("2");
    rmSync(join(host, "parts", "kit.part.00"));
    writeFileSync(join(host, "parts", "kit.part.01"), "second");
    call("2");

    expect(readdirSync(join(host, "kit"))).toEqual(expect.arrayContaining(["kit.part.00", "kit.part.01"]));
  });
});
