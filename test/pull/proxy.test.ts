// Pulls through a proxy on loopback: plain requests by their whole address, encrypted ones through a tunnel, exceptions directly.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, request, type Server } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TLSSocket } from "node:tls";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readHubAccess } from "../../src/pull/hub-access.ts";
import { HubServer } from "./hub-server.ts";

const script = fileURLToPath(new URL("./pull-command.ts", import.meta.url));
const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;

let hub: HubServer;
let proxy: Server;
let root: string;
let environment: Record<string, string>;
/** What the proxy was asked: `GET http://…` or `CONNECT host:port`, and the credentials that came with it. */
let asked: { what: string; credentials: string | undefined }[];

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "ernie-vl-proxy-"));
  hub = await new HubServer().start();
  hub.put("config.json", "{}").put("model.safetensors", Buffer.alloc(100_000, "weights"), true);
  asked = [];
  proxy = createServer((from, to) => {
    note(`${from.method} ${from.url}`, from.headers["proxy-authorization"]);
    const onward = request(from.url!, { method: from.method!, headers: from.headers }, (answer) => {
      to.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(to);
    });
    from.pipe(onward);
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  environment = { HF_ENDPOINT: hub.endpoint };
});

afterEach(async () => {
  proxy.closeAllConnections();
  proxy.close();
  await hub.stop();
  rmSync(root, { recursive: true });
});

function note(what: string, credentials: string | undefined): void {
  asked.push({ what, credentials });
}

const proxyAddress = (user = ""): string => `http://${user}127.0.0.1:${(proxy.address() as AddressInfo).port}`;

async function pull(env: Record<string, string>): Promise<{ code: number | null; err: string }> {
  const child = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), script, hub.repository, "model"], {
    cwd: root,
    env: { PATH: process.env["PATH"], HOME: root, ...environment, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let err = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, err };
}

function expectComplete(): void {
  for (const [name, { content }] of hub.files) expect(readFileSync(join(root, "model", name)).equals(content), name).toBe(true);
}

test("asks the hub and its storage through HTTP_PROXY, with its user and password", async () => {
  expect(await pull({ HTTP_PROXY: proxyAddress("me:secret@") })).toEqual({ code: 0, err: "" });

  expectComplete();
  expect(asked).toHaveLength(hub.requests.length);
  expect(asked.every(({ what }) => /^GET http:\/\/127\.0\.0\.1:\d+\/./.test(what))).toBe(true);
  expect(new Set(asked.map(({ credentials }) => credentials))).toEqual(new Set([`Basic ${btoa("me:secret")}`]));
});

test("asks a host of NO_PROXY directly", async () => {
  expect(await pull({ HTTP_PROXY: proxyAddress(), NO_PROXY: "example.org,127.0.0.1" })).toEqual({ code: 0, err: "" });

  expectComplete();
  expect(asked).toEqual([]);
});

test.skipIf(!hasOpenssl)(
  "reaches an encrypted hub through a tunnel of HTTPS_PROXY, and its storage, which NO_PROXY names, directly",
  async () => {
    const identity = makeIdentity("hub.example");
    proxy.on("connect", (from, socket: Socket) => {
      note(`CONNECT ${from.url}`, from.headers["proxy-authorization"]);
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      const plain = new TLSSocket(socket, { isServer: true, ...identity });
      const { port } = new URL(hub.endpoint);
      plain.pipe(connect(Number(port), "127.0.0.1")).pipe(plain);
    });
    hub.nextPageEndpoint = "https://hub.example";
    const env = { HF_ENDPOINT: "https://hub.example", HF_TOKEN: "hf_secret", NODE_EXTRA_CA_CERTS: join(root, "cert.pem") };

    expect(await pull({ ...env, HTTPS_PROXY: proxyAddress(), NO_PROXY: "127.0.0.1" })).toEqual({ code: 0, err: "" });

    expectComplete();
    expect(new Set(asked.map(({ what }) => what))).toEqual(new Set(["CONNECT hub.example:443"]));
    expect(hub.requests.filter(({ host }) => host === "storage").map(({ authorization }) => authorization)).toEqual([undefined]);
  },
);

test.each([
  ["HTTP_PROXY", "http://127.0.0.1:1", /^ernie-vl: cannot reach \S+ \(ECONNREFUSED\); check the network, HTTPS_PROXY and HF_ENDPOINT\n$/],
  ["HTTP_PROXY", "proxy.example:secret", /^ernie-vl: HTTP_PROXY: expected an address such as \S+\n$/],
])("one line for a proxy that cannot be used: %s=%s", async (name, address, message) => {
  const { code, err } = await pull({ [name]: address });

  expect(code).toBe(1);
  expect(err).toMatch(message);
  expect(err).not.toContain("secret");
});

test.each([
  ["https", 407, "cannot reach https://hub.example (the proxy answered 407); check the network, HTTPS_PROXY and HF_ENDPOINT"],
  ["http", 407, "cannot reach http://hub.example (the proxy answered 407); check the network, HTTPS_PROXY and HF_ENDPOINT"],
  ["http", 403, "baidu/ERNIE-4.5-VL-tiny-PT: access refused (403); check the name; if it is private or gated, set HF_TOKEN"],
])("one line where the proxy refuses: %s, %i", async (protocol, status, message) => {
  proxy.removeAllListeners("request").on("request", (_, to) => void to.writeHead(status).end());
  proxy.on("connect", (_, socket: Socket) => void socket.end(`HTTP/1.1 ${status} No\r\n\r\n`));

  const outcome = await pull({ HF_ENDPOINT: `${protocol}://hub.example`, HTTP_PROXY: proxyAddress(), HTTPS_PROXY: proxyAddress() });

  expect(outcome).toEqual({ code: 1, err: `ernie-vl: ${message}\n` });
});

test("names in small letters come before those in large ones, as with curl", () => {
  const env = { http_proxy: "http://a:1", HTTP_PROXY: "http://b:1", HTTPS_PROXY: "http://c:1", no_proxy: "d", NO_PROXY: "e" };

  expect(readHubAccess(env, root).proxies).toEqual({ http: "http://a:1", https: "http://c:1", except: "d" });
});

/** A certificate that signs itself, also as cert.pem in the test's folder. */
function makeIdentity(host: string): { key: Buffer; cert: Buffer } {
  const files = ["-keyout", join(root, "key.pem"), "-out", join(root, "cert.pem")];
  const name = ["-subj", `/CN=${host}`, "-addext", `subjectAltName=DNS:${host}`];
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", ...name, ...files], { stdio: "ignore" });
  return { key: readFileSync(join(root, "key.pem")), cert: readFileSync(join(root, "cert.pem")) };
}
