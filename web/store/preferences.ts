// Small things the browser remembers: the key, the theme, what is half typed. Never in an address.

export type Theme = "auto" | "light" | "dark";

type KeyValues = Pick<Storage, "getItem" | "setItem" | "removeItem">;

/** The browser's storage; where it may not even be named (all cookies are blocked), one that goes with the page. */
export function openStorage(open: () => KeyValues): KeyValues {
  try {
    return open();
  } catch {
    const kept = new Map<string, string>();
    return {
      getItem: (name) => kept.get(name) ?? null,
      setItem: (name, value) => void kept.set(name, value),
      removeItem: (name) => void kept.delete(name),
    };
  }
}

/** `lasting` outlives the tab, `passing` does not. Either may be full or forbidden: then nothing is remembered. */
export class Preferences {
  readonly #lasting: KeyValues;
  readonly #passing: KeyValues;

  constructor(lasting: KeyValues, passing: KeyValues) {
    this.#lasting = lasting;
    this.#passing = passing;
  }

  get key(): string {
    return read(this.#passing, "key") ?? read(this.#lasting, "key") ?? "";
  }

  get isKeyKept(): boolean {
    return read(this.#lasting, "key") !== undefined;
  }

  /** Kept beyond the tab only when asked for. */
  setKey(key: string, keep: boolean): void {
    write(this.#passing, "key", keep ? "" : key);
    write(this.#lasting, "key", keep ? key : "");
  }

  get theme(): Theme {
    const theme = read(this.#lasting, "theme");
    return theme === "light" || theme === "dark" ? theme : "auto";
  }

  set theme(theme: Theme) {
    write(this.#lasting, "theme", theme === "auto" ? "" : theme);
  }

  /** The conversation this tab shows. */
  get conversationId(): string | undefined {
    return read(this.#passing, "conversation");
  }

  set conversationId(id: string) {
    write(this.#passing, "conversation", id);
  }

  /** Text that has been typed and not sent. */
  get draft(): string {
    return read(this.#passing, "draft") ?? "";
  }

  set draft(text: string) {
    write(this.#passing, "draft", text);
  }
}

function read(storage: KeyValues, name: string): string | undefined {
  try {
    return storage.getItem(`ernie-vl.${name}`) ?? undefined;
  } catch {
    return undefined;
  }
}

function write(storage: KeyValues, name: string, value: string): void {
  try {
    if (value === "") storage.removeItem(`ernie-vl.${name}`);
    else storage.setItem(`ernie-vl.${name}`, value);
  } catch {
    // Full or forbidden.
  }
}
