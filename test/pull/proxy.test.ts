// Pulls through a proxy on loopback: plain requests by their whole address, encrypted ones through a tunnel, exceptions directly.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, request, type Server } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { pipeline } from "node:stream";
import { TLSSocket } from "node:tls";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { UserError } from "../../src/core/errors.ts";
import { readHubAccess } from "../../src/pull/hub-access.ts";
import type { HubServer } from "./hub-server.ts";
import { PullFixture } from "./pull-fixture.ts";
import { listenLocally } from "../listen-locally.ts";

const script = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;

let fixture: PullFixture;
let hub: HubServer;
let proxy: Server;
let root: string;
let environment: Record<string, string>;
/** What the proxy was asked: `GET http://…` or `CONNECT host:port`, and the credentials that came with it. */
let asked: { what: string; credentials: string | undefined }[];

beforeEach(async () => {
  fixture = await new PullFixture().start();
  ({ hub, root } = fixture);
  asked = [];
  proxy = createServer((from, to) => {
    note(`${from.method} ${from.url}`, from.headers["proxy-authorization"]);
    const onward = request(from.url!, { method: from.method!, headers: from.headers }, (answer) => {
      to.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(to);
    });
    from.pipe(onward);
  });
  await listenLocally(proxy);
  environment = { HF_ENDPOINT: hub.endpoint };
});

afterEach(async () => {
  proxy.closeAllConnections();
  proxy.close();
  await fixture.stop();
});

function note(what: string, credentials: string | undefined): void {
  asked.push({ what, credentials });
}

const proxyAddress = (user = ""): string => `http://${user}127.0.0.1:${(proxy.address() as AddressInfo).port}`;

/** What is wrong; undefined when all went well. */
async function pull(env: Record<string, string>): Promise<string | undefined> {
  try {
    await fixture.pull({ access: readHubAccess({ ...environment, ...env }, root) });
    fixture.expectComplete();
    return undefined;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return error.message;
  }
}

/** In a process of its own, as only there its environment is what Node reads. */
async function pullByCommand(env: Record<string, string>): Promise<void> {
  hub.putServable();
  const child = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), script, "pull", hub.repository, "--out", "model"], {
    cwd: root,
    env: { PATH: process.env["PATH"], HOME: root, ...environment, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let err = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  expect([await once(child, "close"), err]).toEqual([[0, null], ""]);
  fixture.expectComplete();
}

test("asks the hub and its storage through HTTP_PROXY, with its user and password", async () => {
  await pullByCommand({ HTTP_PROXY: proxyAddress("me:secret@") });

  expect(asked).toHaveLength(hub.requests.length);
  expect(asked.every(({ what }) => /^GET http:\/\/127\.0\.0\.1:\d+\/./.test(what))).toBe(true);
  expect(new Set(asked.map(({ credentials }) => credentials))).toEqual(new Set([`Basic ${btoa("me:secret")}`]));
});

test("asks a host of NO_PROXY directly", async () => {
  expect(await pull({ HTTP_PROXY: proxyAddress(), NO_PROXY: "example.org,127.0.0.1" })).toBeUndefined();

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
      pipeline(plain, connect(Number(port), "127.0.0.1"), plain, () => {}); // the pull ends without closing it in order
    });
    hub.nextPageEndpoint = "https://hub.example";
    const env = { HF_ENDPOINT: "https://hub.example", HF_TOKEN: "hf_secret", NODE_EXTRA_CA_CERTS: join(root, "cert.pem") };

    await pullByCommand({ ...env, HTTPS_PROXY: proxyAddress(), NO_PROXY: "127.0.0.1" });

    expect(new Set(asked.map(({ what }) => what))).toEqual(new Set(["CONNECT hub.example:443"]));
    const inStorage = hub.requests.filter(({ host }) => host === "storage");
    expect(new Set(inStorage.map(({ authorization }) => authorization))).toEqual(new Set([undefined]));
  },
);

test.each([
  ["HTTP_PROXY", "http://127.0.0.1:1", /^cannot reach \S+ \(ECONNREFUSED\); check the network, HTTPS_PROXY and HF_ENDPOINT$/],
  ["HTTP_PROXY", "proxy.example:secret", /^HTTP_PROXY: expected an address such as \S+$/],
])("one line for a proxy that cannot be used: %s=%s", async (name, address, message) => {
  const complaint = await pull({ [name]: address });

  expect(complaint).toMatch(message);
  expect(complaint).not.toContain("secret");
});

test.each([
  ["https", 407, "cannot reach https://hub.example (the proxy answered 407); check the network, HTTPS_PROXY and HF_ENDPOINT"],
  ["http", 407, "cannot reach http://hub.example (the proxy answered 407); check the network, HTTPS_PROXY and HF_ENDPOINT"],
  ["http", 403, "baidu/ERNIE-4.5-VL-tiny-PT: access refused (403); check the name; if it is private or gated, set HF_TOKEN"],
])("one line where the proxy refuses: %s, %i", async (protocol, status, message) => {
  proxy.removeAllListeners("request").on("request", (_, to) => void to.writeHead(status).end());
  proxy.on("connect", (_, socket: Socket) => void socket.end(`HTTP/1.1 ${status} No\r\n\r\n`));

  const proxies = { HTTP_PROXY: proxyAddress(), HTTPS_PROXY: proxyAddress() };

  expect(await pull({ HF_ENDPOINT: `${protocol}://hub.example`, ...proxies })).toBe(message);
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
