import { randomUUID } from "node:crypto";

/** 32 hexadecimal digits. */
export function randomId(): string {
  return randomUUID().replaceAll("-", "");
}
