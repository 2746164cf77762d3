// What the browser remembers, and for how long.

import { describe, expect, test } from "vitest";
import { openStorage, Preferences } from "../../web/store/preferences.ts";

function makeStorage(): Storage {
  const kept = new Map<string, string>();
  return {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => void kept.set(name, value),
    removeItem: (name: string) => void kept.delete(name),
  } as unknown as Storage;
}

describe("a key", () => {
  test("is forgotten with the tab unless it is to be kept", () => {
    const lasting = makeStorage();
    new Preferences(lasting, makeStorage()).setKey("secret", false);
    expect(new Preferences(lasting, makeStorage()).key).toBe("");
    new Preferences(lasting, makeStorage()).setKey("secret", true);

    const later = new Preferences(lasting, makeStorage());
    expect([later.key, later.isKeyKept]).toEqual(["secret", true]);
  });

  test("that is no longer to be kept is not", () => {
    const lasting = makeStorage();
    const preferences = new Preferences(lasting, makeStorage());
    preferences.setKey("secret", true);
    preferences.setKey("secret", false);

    expect([preferences.key, new Preferences(lasting, makeStorage()).key]).toEqual(["secret", ""]);
  });
});

test("a browser that does not even name its storage has one for as long as the page is open", () => {
  const deny = () => {
    throw new DOMException("denied", "SecurityError");
  };
  const preferences = new Preferences(openStorage(deny), openStorage(deny));
  preferences.setKey("secret", false);

  expect(preferences.key).toBe("secret");
});

test("an unknown theme is the system's", () => {
  const lasting = makeStorage();
  lasting.setItem("ernie-vl.theme", "pink");

  expect(new Preferences(lasting, makeStorage()).theme).toBe("auto");
});

test("a browser that forbids storage remembers nothing, and nothing fails", () => {
  const forbidden = new Proxy({} as Storage, {
    get: () => () => {
      throw new DOMException("forbidden", "SecurityError");
    },
  });
  const preferences = new Preferences(forbidden, forbidden);
  preferences.setKey("secret", true);
  preferences.draft = "text";

  expect([preferences.key, preferences.draft, preferences.theme]).toEqual(["", "", "auto"]);
});
