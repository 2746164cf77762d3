import { describe, expect, test } from "vitest";
import { chatPath, type Envelope, finished, helloEvents, makeApp, pngBase64, post, started, userSays } from "./make-app.ts";

describe("models", () => {
  const model = {
    id: "ernie",
    object: "model",
    created: 1_700_000_000,
    owned_by: "ernie-vl",
    root: "ernie",
    context_length: 4096,
    max_model_len: 4096,
    input_modalities: ["text", "image"],
    output_modalities: ["text"],
  };

  test("the list holds the served model", async () => {
    const response = await makeApp().app.request("/v1/models");

    expect(await response.json()).toEqual({ object: "list", data: [model] });
  });

  test("a server that can read video files says so", async () => {
    const response = await makeApp([], { takesVideoFiles: true }).app.request("/v1/models/ernie");

    expect(await response.json()).toMatchObject({ input_modalities: ["text", "image", "video"] });
  });

  test.each(["baidu/ernie-4.5", "baidu%2Fernie-4.5"])("a model is found by its name, spelled %s", async (id) => {
    const { app } = makeApp([], { modelId: "baidu/ernie-4.5" });

    const response = await app.request(`/v1/models/${id}`);

    expect(await response.json()).toEqual({ ...model, id: "baidu/ernie-4.5", root: "baidu/ernie-4.5" });
  });

  test("each of several names is listed and found, with the first as its root", async () => {
    const { app } = makeApp([], { modelAliases: ["gpt-4o"] });

    const list = await app.request("/v1/models");
    const alias = await app.request("/v1/models/gpt-4o");

    expect(await list.json()).toEqual({ object: "list", data: [model, { ...model, id: "gpt-4o" }] });
    expect(await alias.json()).toEqual({ ...model, id: "gpt-4o" });
  });

  test("Anthropic's clients find each of several names too", async () => {
    const { app } = makeApp([], { modelAliases: ["claude"] });
    const headers = { "anthropic-version": "2023-06-01" };

    const list = await app.request("/v1/models", { headers });
    const alias = await app.request("/v1/models/claude", { headers });

    expect(await list.json()).toMatchObject({ data: [{ id: "ernie" }, { id: "claude" }], first_id: "ernie", last_id: "claude" });
    expect(await alias.json()).toMatchObject({ id: "claude" });
  });

  test.each<[string, object]>([
    [chatPath, userSays("Hi")],
    ["/v1/completions", { prompt: "Hi" }],
    ["/v1/responses", { input: "Hi" }],
    ["/v1/messages", userSays("Hi", { max_tokens: 9 })],
  ])("%s takes any of several names and answers under the first", async (path, body) => {
    const { app } = makeApp(helloEvents, { modelAliases: ["gpt-4o"] });

    const response = await app.request(path, post({ ...body, model: "gpt-4o" }));

    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ model: "ernie" });
  });

  test("a 404 says all names that there are", async () => {
    const { app } = makeApp([], { modelAliases: ["gpt-4o"] });

    const response = await app.request(chatPath, post(userSays("Hi", { model: "gpt-9" })));

    expect(((await response.json()) as Envelope).error.message).toBe(
      'model: expected "ernie" or "gpt-4o", the model on this server, got "gpt-9"',
    );
  });

  test("another name is a 404", async () => {
    const response = await makeApp().app.request("/v1/models/gpt-9");

    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { code: "model_not_found", param: "model" } });
  });

  test("a request may name the served model", async () => {
    const { app } = makeApp(helloEvents);

    expect((await app.request(chatPath, post(userSays("Hi", { model: "ernie" })))).status).toBe(200);
  });
});

describe("health", () => {
  test("is ok with the engine's load, and nothing else of it, when the server is ready", async () => {
    const load = { running: 2, waiting: 1, promptTokens: 5 };
    const { app } = makeApp([], { stats: () => load });

    for (const path of ["/health", "/health/ready"]) {
      const response = await app.request(path);

      expect(response.status).toBe(200);
      expect(await response.json()).toEqual({ status: "ok", running: 2, waiting: 1 });
    }
  });

  test("is a 503 until then", async () => {
    for (const path of ["/health", "/health/ready"]) {
      const response = await makeApp([], { isReady: () => false }).app.request(path);

      expect(response.status).toBe(503);
      expect(await response.json()).toEqual({ status: "unavailable", running: 0, waiting: 0 });
    }
  });

  test("tells that the process is alive, ready or not", async () => {
    expect((await makeApp([], { isReady: () => false }).app.request("/health/live")).status).toBe(200);
  });
});

describe("routes that do not exist", () => {
  test.each([
    ["GET", "/"],
    ["POST", "/v1/embeddings"],
    ["GET", "/v1/chat/completions/x"],
  ])("%s %s is a 404 in the envelope", async (method, path) => {
    const response = await makeApp().app.request(path, { method });

    expect(response.status).toBe(404);
    const { error } = (await response.json()) as Envelope;
    expect(error).toMatchObject({ type: "invalid_request_error", param: null, code: "unknown_url" });
    expect(error.message).toContain(`${method} ${path}`);
  });

  test.each([
    ["POST", "/chat/completions", "POST /v1/chat/completions"],
    ["POST", "/v1/v1/messages", "POST /v1/messages"],
    ["GET", "//v1/models", "GET /v1/models"],
    ["POST", "/openai/deployments/ernie/chat/completions", "POST /v1/chat/completions"],
  ])("%s %s is a 404 that names %s, and what base URLs end in", async (method, path, meant) => {
    const response = await makeApp().app.request(new Request(`http://x${path}`, { method }));

    expect(response.status).toBe(404);
    const { message } = ((await response.json()) as { error: Envelope["error"] }).error;
    expect(message).toContain(`${method} ${path} does not exist, but ${meant} does; the base URL of OpenAI's clients ends in /v1`);
  });

  test("a slash behind a path is nothing", async () => {
    const { app } = makeApp();

    expect((await app.request(`${chatPath}/`, post(userSays("Hi")))).status).toBe(200);
    expect(await (await app.request("/v1/models/")).json()).toMatchObject({ object: "list" });
    expect(await (await app.request("/v1/models/ernie/")).json()).toMatchObject({ id: "ernie" });
  });

  test.each([
    ["GET", chatPath, "POST"],
    ["PUT", chatPath, "POST"],
    ["POST", "/v1/models", "GET"],
    ["DELETE", "/v1/models/ernie", "GET"],
    ["POST", "/health", "GET"],
  ])("%s %s is a 405 that names %s", async (method, path, allowed) => {
    const response = await makeApp().app.request(path, { method });

    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe(allowed);
    expect(await response.json()).toMatchObject({ error: { code: "method_not_allowed" } });
  });
});

describe("API keys", () => {
  const { app } = makeApp(helloEvents, { apiKeys: ["first-key", "second-key"] });

  test.each([
    ["Bearer", { authorization: "Bearer first-key" }],
    ["the second key", { authorization: "Bearer second-key" }],
    ["lower case scheme", { authorization: "bearer first-key" }],
    ["x-api-key", { "x-api-key": "second-key" }],
  ])("%s passes", async (_, headers) => {
    expect((await app.request("/v1/models", { headers })).status).toBe(200);
  });

  test.each([
    ["none", {}, "missing_api_key"],
    ["a wrong one", { authorization: "Bearer third-key" }, "invalid_api_key"],
    ["a prefix", { authorization: "Bearer first" }, "invalid_api_key"],
    ["another scheme", { authorization: "Basic first-key" }, "missing_api_key"],
    ["an empty one", { authorization: "Bearer " }, "missing_api_key"],
    ["a wrong x-api-key", { "x-api-key": "x" }, "invalid_api_key"],
  ])("%s is a 401", async (_, headers, code) => {
    for (const path of ["/v1/models", "/v1/models/ernie", chatPath, "/nowhere"]) {
      const response = await app.request(path, { headers });

      expect(response.status).toBe(401);
      expect(response.headers.get("www-authenticate")).toBe("Bearer");
      expect(await response.json()).toMatchObject({ error: { type: "authentication_error", code } });
    }
  });

  test.each<[path: string, body: object]>([
    [chatPath, userSays("Hi")],
    [chatPath, userSays("Hi", { cache_salt: "s" })],
    ["/v1/completions", { prompt: "Hi" }],
    ["/v1/responses", { input: "Hi" }],
    ["/v1/messages", userSays("Hi", { max_tokens: 9 })],
  ])("clients with different keys share no cached prefix and have turns of their own: %s %j", async (path, body) => {
    const guarded = makeApp(helloEvents, { apiKeys: ["first-key", "second-key"] });
    for (const key of ["first-key", "first-key", "second-key"]) {
      await guarded.app.request(path, post(body, { authorization: `Bearer ${key}` }));
    }

    const options = [...guarded.calls, ...guarded.textCalls].map((call) => call.options);
    expect(options).toHaveLength(3);
    for (const name of ["cacheSalt", "clientId"] as const) {
      const [first, again, second] = options.map((asked) => asked[name]);
      expect(first).toBe(again);
      expect(first).not.toBe(second);
      expect(first).not.toContain("first-key");
    }
  });

  test("health needs none", async () => {
    expect((await app.request("/health")).status).toBe(200);
  });

  test("no key is echoed or logged", async () => {
    const guarded = makeApp(helloEvents, { apiKeys: ["first-key"] });

    const response = await guarded.app.request("/v1/models", { headers: { authorization: "Bearer my-secret" } });

    expect(await response.text()).not.toContain("my-secret");
    expect(JSON.stringify(guarded.lines)).not.toContain("my-secret");
  });
});

describe("bodies over the limit are a 413", () => {
  const limits = { bodyBytes: 100 };
  const large = JSON.stringify(userSays("x".repeat(200)));

  test("by their declared length, unread", async () => {
    const { app, calls } = makeApp([], { limits });

    const response = await app.request(chatPath, post(large, { "content-length": String(large.length) }));

    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ error: { type: "invalid_request_error", code: "request_too_large" } });
    expect(calls).toEqual([]);
  });

  test("by their true length, when none is declared", async () => {
    let sentCount = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sentCount++;
        controller.enqueue(new TextEncoder().encode("x".repeat(30)));
      },
    });
    const request = new Request(`http://x${chatPath}`, { ...post(""), body, duplex: "half" } as RequestInit);

    const response = await makeApp([], { limits }).app.request(request);

    expect(response.status).toBe(413);
    expect(sentCount).toBeLessThan(10);
  });

  test("a body of exactly the limit is read", async () => {
    const { app } = makeApp(helloEvents, { limits: { bodyBytes: large.length } });

    expect((await app.request(chatPath, post(large))).status).toBe(200);
  });
});

describe("request ids", () => {
  test.each(["abc-123", "req_1.2:3"])("the client's id %s comes back", async (id) => {
    for (const path of ["/health", "/v1/models", "/nowhere"]) {
      const response = await makeApp().app.request(path, { headers: { "x-request-id": id } });

      expect(response.headers.get("x-request-id")).toBe(id);
    }
  });

  test.each(["with space", "a".repeat(129), "ünicode", "{}"])("an odd id (%s) is replaced", async (id) => {
    const response = await makeApp().app.request("/health", { headers: { "x-request-id": Buffer.from(id).toString("latin1") } });

    expect(response.headers.get("x-request-id")).toMatch(/^req_[0-9a-f]{32}$/);
  });

  test("answers, streams and errors carry one", async () => {
    const { app } = makeApp(helloEvents);
    const bodies = [userSays("a"), userSays("a", { stream: true }), {}];

    for (const body of bodies) {
      const response = await app.request(chatPath, post(body));
      expect(response.headers.get("x-request-id")).toMatch(/^req_/);
    }
  });
});

describe("the log", () => {
  const figures = { promptTokens: 12, imageTokens: 5, cachedTokens: 4, outputTokens: 3, finishReason: "stop" };

  test.each([false, true])("has one line with the figures of an answer, stream: %s", async (stream) => {
    const { app, lines } = makeApp(helloEvents);

    const response = await app.request(chatPath, post(userSays("Hi", { stream })));
    await response.text();

    expect(lines).toEqual([
      {
        level: "info",
        message: "request",
        fields: {
          id: response.headers.get("x-request-id"),
          route: `POST ${chatPath}`,
          status: 200,
          stream,
          choices: 1,
          ...figures,
          queueMs: 2,
          firstTokenMs: expect.any(Number),
          interTokenMs: expect.any(Number),
          totalMs: expect.any(Number),
        },
      },
    ]);
  });

  test("adds up the prompts of a request", async () => {
    const { app, lines } = makeApp([started, ...helloEvents.map((event) => ({ ...event, choice: 0 })), { ...finished, choice: 1 }]);

    await app.request("/v1/completions", post({ prompt: ["a", "b"] }));

    expect(lines).toMatchObject([
      { fields: { choices: 2, promptTokens: 24, imageTokens: 10, cachedTokens: 8, outputTokens: 6, finishReason: "stop" } },
    ]);
  });

  test("has nothing of a path that moves a terminal's cursor or turns its text around", async () => {
    const { app, lines } = makeApp();

    await app.request("/%1b[2J%C2%9B2J%E2%80%AEtxet/ü");

    expect(lines.map(({ fields }) => fields["route"])).toEqual(["GET /\uFFFD[2J\uFFFD2J\uFFFDtxet/ü"]);
  });

  test("tells clients apart by a short hash of their key", async () => {
    const { app, lines } = makeApp(helloEvents, { apiKeys: ["my-secret", "other"] });
    for (const key of ["my-secret", "other", "my-secret"]) await app.request(chatPath, post(userSays("Hi"), { "x-api-key": key }));

    const labels = lines.map(({ fields }) => fields["key"]);
    expect(labels[0]).toBe("186ef76e"); // printf my-secret | sha256sum
    expect(labels[2]).toBe(labels[0]);
    expect(labels[1]).not.toBe(labels[0]);
  });

  test("names an error by its code", async () => {
    const { app, lines } = makeApp();

    await app.request(chatPath, post(userSays("Hi", { suffix: "x" })));

    expect(lines).toMatchObject([{ level: "info", fields: { status: 400, errorCode: "unsupported_parameter" } }]);
  });

  test("never holds text or pictures", async () => {
    const { app, lines } = makeApp([...helloEvents.slice(0, 2), new Error("boom")]);
    const content = [
      { type: "text", text: "SECRET" },
      { type: "image_url", image_url: { url: `data:image/png;base64,${pngBase64}` } },
    ];

    await app.request(chatPath, post(userSays(content)));
    await app.request(chatPath, post(userSays(content, { stop: [5, "SECRET"] })));
    await app.request(chatPath, post('{"SECRET": '));

    expect(lines.length).toBeGreaterThanOrEqual(3);
    for (const secret of ["SECRET", pngBase64.slice(0, 20), "Hel"]) expect(JSON.stringify(lines)).not.toContain(secret);
  });

  test("leaves out probes and scrapes that succeed, and no others", async () => {
    let isReady = true;
    const { app, lines } = makeApp([], { isReady: () => isReady });

    for (const path of ["/health", "/health/ready", "/health/live", "/metrics"]) expect((await app.request(path)).status).toBe(200);
    isReady = false;
    expect((await app.request("/health/ready")).status).toBe(503);

    expect(lines).toMatchObject([{ fields: { route: "GET /health/ready", status: 503 } }]);
  });
});
