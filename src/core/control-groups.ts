// Finds the Linux control groups that limit this process, such as a container's or a systemd unit's.

import { join } from "node:path";
import { readSystemFile } from "./file-system.ts";

/**
 * Folders that may hold the files of a controller ("cpu", "memory") for this process: those of its own group and of all enclosing groups, whose
 * limits apply as well. Inner groups come first, version 2 before version 1. Some may not exist: a container often sees its own group as the
 * root. `root` is the folder of /proc and /sys, for tests.
 */
export function controlGroupFolders(controller: string, root = "/"): string[] {
  const groups = readGroups(root);
  const base = join(root, "sys/fs/cgroup");
  const unified = groups.find(({ controllers }) => controllers.length === 0);
  const own = groups.find(({ controllers }) => controllers.includes(controller));
  return [...pathsUp(base, unified?.path), ...pathsUp(join(base, controller), own?.path)];
}

type Group = { readonly controllers: readonly string[]; readonly path: string };

/** Lines like "0::/system.slice/ernie.service" (version 2) and "4:cpu,cpuacct:/docker/3f…" (version 1). */
function readGroups(root: string): Group[] {
  const lines = readSystemFile(root, "proc/self/cgroup").matchAll(/^\d+:(.*?):(\/.*)$/gm);
  return [...lines].map(([, controllers, path]) => ({ controllers: controllers ? controllers.split(",") : [], path: path! }));
}

/** ("/base", "/a/b") → "/base/a/b", "/base/a", "/base" */
function pathsUp(base: string, path = "/"): string[] {
  const names = join("/", path).split("/").filter(Boolean); // ".." does not lead out
  return names.map((_, i) => join(base, ...names.slice(0, names.length - i))).concat(base);
}
