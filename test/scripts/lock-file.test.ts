// package-lock.json is whole. npm leaves optional packages out of it that a registry does not have, and then `npm ci` refuses the file.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

type LockedPackage = { readonly version?: string; readonly optionalDependencies?: Readonly<Record<string, string>> };

const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8")) as { packages: Record<string, LockedPackage> };

test("the lock file names the optional packages of all platforms, so that `npm ci` accepts it", () => {
  const optional = Object.values(packages).flatMap(({ optionalDependencies = {} }) => Object.keys(optionalDependencies));

  expect(optional.length).toBeGreaterThan(0);
  expect(optional.filter((name) => !Object.keys(packages).some((path) => path.endsWith(`node_modules/${name}`)))).toEqual([]);
});

test("and no address of a registry", () => {
  expect(Object.values(packages).filter((entry) => "resolved" in entry)).toEqual([]);
});
