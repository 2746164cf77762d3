import { afterEach, describe, expect, test, vi } from "vitest";
import { UserError } from "../../src/core/errors.ts";
import { serveCommand } from "../../src/cli/serve-command.ts";

afterEach(() => vi.unstubAllEnvs());

/** What the options come to, or what is said about them. */
function parse(args: readonly string[]): Record<string, unknown> | string {
  const command = serveCommand("nano", () => {});
  let said = "";
  command
    .exitOverride()
    .configureOutput({ writeErr: (text) => (said += text) })
    .action(() => {});
  try {
    command.parse([...args], { from: "user" });
    return command.opts();
  } catch (error) {
    return error instanceof UserError ? error.message : said;
  }
}

describe("a key", () => {
  const refused = "--api-key (or ERNIE_VL_API_KEY): expected printable ASCII without spaces, got ";

  test("comes from the command line, several at once, or from the environment", () => {
    vi.stubEnv("ERNIE_VL_API_KEY", "from-environment");

    expect(parse([])).toMatchObject({ apiKey: ["from-environment"] });
    expect(parse(["--api-key", "a", "b", "--api-key", "c"])).toMatchObject({ apiKey: ["a", "b", "c"] });
  });

  test.each(["", " ", "two words", "line\n", "\u00fc"])("that no client could send is refused, not taken for protection: %j", (key) => {
    expect(parse(["--host", "0.0.0.0", "--api-key", key])).toContain(refused);

    vi.stubEnv("ERNIE_VL_API_KEY", key);
    expect(parse(["--host", "0.0.0.0"])).toContain(refused);
  });

  test("that is refused is not repeated where others may read it", () => {
    expect(parse(["--api-key", "my secret"])).not.toContain("my secret");
  });
});

describe("a name, address or folder", () => {
  const flags = ["--model", "--host", "--metrics-host", "--served-model-name", "--allow-media-path"];

  test.each(flags)("that is empty is refused, not taken for this folder or any address: %s", (flag) => {
    for (const text of ["", " "]) expect(parse([flag, text])).toContain("Expected a value, got an empty one; is a shell variable unset?");
  });

  test.each(["--host", "--metrics-host"])("of IPv6 may have the brackets of a URL: %s", (flag) => {
    expect(Object.values(parse([flag, "[::1]"]))).toContain("::1");
  });

  test("is taken as it is", () => {
    expect(parse(["--host", "my host"])).toMatchObject({ host: "my host" });
    expect(parse([])).toMatchObject({ allowMediaPath: [] });
    expect(parse(["--allow-media-path", "a", ""])).toContain("Expected a value, got an empty one");
    expect(parse(["--allow-media-path", "a", "b", "--allow-media-path", "c"])).toMatchObject({ allowMediaPath: ["a", "b", "c"] });
  });
});

describe("an origin", () => {
  test("is spelled as browsers spell it, several at once", () => {
    const given = ["https://Chat.Example.org:443/", "http://localhost:3000", "app://obsidian.md", "chrome-extension://abcdef/", "*"];

    expect(parse(["--allow-origin", ...given])).toMatchObject({
      allowOrigin: ["https://chat.example.org", "http://localhost:3000", "app://obsidian.md", "chrome-extension://abcdef", "*"],
    });
    expect(parse([])).toMatchObject({ allowOrigin: [] });
  });

  test.each(["", "chat.example.org", "https://chat.example.org/app", "https://*.example.org", "https://a@b", "null"])(
    "that no browser sends is refused: %j",
    (text) => {
      expect(parse(["--allow-origin", text])).toMatch(/^--allow-origin: expected an origin such as .+, got /);
    },
  );
});

describe("names of the model", () => {
  test.each([
    [["baidu/ernie 4.5"], ["baidu/ernie 4.5"]],
    [
      ["a", "b", "c"],
      ["a", "b", "c"],
    ],
    [
      ["a", "--served-model-name", "b"],
      ["a", "b"],
    ],
    [
      ["a", "b", "--port", "1"],
      ["a", "b"],
    ],
  ])("are those before the next flag, in their order: %j", (args, names) => {
    const port = args.includes("--port") ? 1 : 8000;
    expect(parse(["--served-model-name", ...args])).toMatchObject({ servedModelName: names, port });
  });

  test("are each given once", () => {
    expect(parse(["--served-model-name", "a", "b", "a"])).toContain("'a' is invalid. The same name was given twice.");
    expect(parse(["--served-model-name", "a", ""])).toContain("Expected a value, got an empty one");
    expect(parse(["--served-model-name", "--port", "1"])).not.toMatchObject({ port: 1 });
  });
});

test.each(["./model", "../model", "~/model", process.cwd()])("a folder behind a name or a key is none: %s", (folder) => {
  expect(parse(["--served-model-name", "a", folder])).toContain("Expected a name, got a folder; pass the folder with --model.");
  expect(parse(["--api-key", "a", folder])).toContain("expected printable ASCII without spaces, got a path");
});

describe("a number", () => {
  test.each(["", " ", "0x10", "1e3", "1.5", "-1", "port"])("that is none is refused, an unset variable of a shell too: %j", (text) => {
    expect(parse(["--port", text])).toContain("Expected a whole number from 0 to 65535.");
  });

  test("may be the first and the last of its range", () => {
    expect(parse(["--port", "0"])).toMatchObject({ port: 0 });
    expect(parse(["--port", "65535"])).toMatchObject({ port: 65535 });
    expect(parse(["--port", "65536"])).toContain("Expected a whole number from 0 to 65535.");
  });
});
