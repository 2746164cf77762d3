import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { controlGroupFolders } from "../../src/core/control-groups.ts";
import { usableCpus } from "../../src/core/usable-cpus.ts";
import { temporaryFolder } from "../temporary-folder.ts";

type Machine = {
  readonly online?: string;
  readonly allowed?: string;
  /** The processors of each core. */
  readonly cores?: readonly string[];
  /** /proc/self/cgroup */
  readonly groups?: string;
  /** Path below /sys/fs/cgroup → content. */
  readonly files?: Readonly<Record<string, string>>;
};

/** A folder with the files that Linux has on such a machine. */
function makeMachine({ online, allowed, cores = [], groups, files = {} }: Machine): string {
  const root = temporaryFolder();
  const write = (name: string, content: string | undefined): void => {
    if (content === undefined) return;
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), `${content}\n`);
  };
  write("sys/devices/system/cpu/online", online);
  for (const core of cores) {
    for (const processor of core.split(/[,-]/)) write(`sys/devices/system/cpu/cpu${processor}/topology/thread_siblings_list`, core);
  }
  write("proc/self/status", allowed && `Name:\tnode\nCpus_allowed:\tff\nCpus_allowed_list:\t${allowed}\nMems_allowed_list:\t0`);
  write("proc/self/cgroup", groups);
  for (const [name, content] of Object.entries(files)) write(join("sys/fs/cgroup", name), content);
  return root;
}

const eightProcessors: Machine = { online: "0-7", allowed: "0-7", cores: ["0,4", "1,5", "2,6", "3,7"] };
const unlimited = { processorCount: 8, coreCount: 4, machineCoreCount: 4, limit: undefined };
const quota = "CPU quota";
const affinity = "CPU affinity";

describe("four cores of two processors each", () => {
  test.each<[string, Machine, object]>([
    ["all of it without a limit", {}, {}],
    ["processors that do not exist are not counted", { allowed: "0-239" }, {}],
    ["fewer cores where the affinity has fewer", { allowed: "1,5-6" }, { processorCount: 3, coreCount: 2, limit: affinity }],
    ["one processor of each core", { allowed: "0-3" }, { processorCount: 4, limit: affinity }],
    ["numbers that the container is not shown", { allowed: "12-15", online: "0-7" }, { processorCount: 4, limit: affinity }],
  ])("%s", (_, machine, expected) => {
    expect(usableCpus(makeMachine({ ...eightProcessors, ...machine }))).toEqual({ ...unlimited, ...expected });
  });

  test.each<[string, Machine, object]>([
    ["docker run --cpus=2", { groups: "0::/", files: { "cpu.max": "200000 100000" } }, { processorCount: 2, coreCount: 2, limit: quota }],
    [
      "more than the cores: their second processors remain",
      { groups: "0::/", files: { "cpu.max": "600000 100000" } },
      { processorCount: 6 },
    ],
    [
      "a part of a processor counts as nothing",
      { groups: "0::/", files: { "cpu.max": "390000 100000" } },
      { processorCount: 3, coreCount: 3, limit: quota },
    ],
    ["but one is left", { groups: "0::/", files: { "cpu.max": "50000 100000" } }, { processorCount: 1, coreCount: 1, limit: quota }],
    ["no quota", { groups: "0::/", files: { "cpu.max": "max 100000" } }, {}],
    [
      "a unit of systemd in a slice with less",
      { groups: "0::/a.slice/b.service", files: { "a.slice/cpu.max": "150000 50000", "a.slice/b.service/cpu.max": "400000 100000" } },
      { processorCount: 3, coreCount: 3, limit: quota },
    ],
    [
      "a group outside of the namespace",
      { groups: "0::/../../other", files: { "cpu.max": "100000 100000" } },
      { processorCount: 1, coreCount: 1, limit: quota },
    ],
    [
      "version 1, in a container that sees its group as the root",
      {
        groups: "3:cpuacct,cpu:/docker/3f\n1:memory:/docker/3f",
        files: { "cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000" },
      },
      { processorCount: 2, coreCount: 2, limit: quota },
    ],
    [
      "version 1, a group below one with less",
      {
        groups: "1:cpu:/a/b",
        files: {
          "cpu/a/b/cpu.cfs_quota_us": "-1",
          "cpu/a/b/cpu.cfs_period_us": "100000",
          "cpu/a/cpu.cfs_quota_us": "300000",
          "cpu/a/cpu.cfs_period_us": "100000",
        },
      },
      { processorCount: 3, coreCount: 3, limit: quota },
    ],
    ["version 1 without quota", { groups: "1:cpu:/", files: { "cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000" } }, {}],
  ])("with a quota: %s", (_, machine, expected) => {
    expect(usableCpus(makeMachine({ ...eightProcessors, ...machine }))).toEqual({ ...unlimited, ...expected });
  });

  test("the smaller of affinity and quota counts", () => {
    const group = { groups: "0::/", files: { "cpu.max": "300000 100000" } };

    expect(usableCpus(makeMachine({ ...eightProcessors, ...group, allowed: "0,4" }))).toMatchObject({ coreCount: 1, limit: affinity });
    expect(usableCpus(makeMachine({ ...eightProcessors, ...group, allowed: "0-7" }))).toMatchObject({ coreCount: 3, limit: quota });
  });
});

test("a processor of whose core nothing is known is one", () => {
  expect(usableCpus(makeMachine({ online: "0-3", allowed: "0-3" }))).toMatchObject({ processorCount: 4, coreCount: 4, limit: undefined });
});

test("where there is nothing to read, what Node says counts", () => {
  expect(usableCpus(temporaryFolder())).toEqual(expect.objectContaining({ limit: undefined }));
  expect(usableCpus(temporaryFolder()).coreCount).toBeGreaterThan(0);
});

test("a machine of 128 processors in two sockets has 64 cores", () => {
  const cores = Array.from({ length: 64 }, (_, core) => `${core},${core + 64}`);
  const machine = makeMachine({ online: "0-127", allowed: "0-127", cores, groups: "0::/", files: { "cpu.max": "400000 100000" } });

  expect(usableCpus(machine)).toEqual({ processorCount: 4, coreCount: 4, machineCoreCount: 64, limit: quota });
});

test("a controller's folders go from the process's group to the root, version 2 first", () => {
  const root = makeMachine({ groups: "4:memory:/job\n3:cpu,cpuacct:/box/a\n0::/user.slice/one" });
  const below = (...names: string[]) => names.map((name) => join(root, "sys/fs/cgroup", name));

  expect(controlGroupFolders("cpu", root)).toEqual(below("user.slice/one", "user.slice", "", "cpu/box/a", "cpu/box", "cpu"));
  expect(controlGroupFolders("memory", root)).toEqual(below("user.slice/one", "user.slice", "", "memory/job", "memory"));
});
