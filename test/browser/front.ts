// A server in front of the real one that can answer chats otherwise: slowly, wrongly, or not to the end.

import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { freePort } from "../free-port.ts";

/** Answers one chat request in place of the server. */
export type ChatAnswer = (response: ServerResponse) => void | Promise<void>;

export type Front = {
  readonly url: string;
  /** Holds for each chat request from now on; undefined: the real server's. */
  answerWith(answer: ChatAnswer | undefined): void;
  /** Cuts the answers that are being given in place of the server's. */
  breakOff(): void;
  close(): Promise<void>;
  /** Listens again where it did before. */
  reopen(): Promise<void>;
};

export async function startFront(serverUrl: string): Promise<Front> {
  let answer: ChatAnswer | undefined;
  const open = new Set<ServerResponse>();
  const handle = (incoming: IncomingMessage, response: ServerResponse) => {
    if (answer && incoming.url === "/v1/chat/completions") {
      incoming.resume();
      open.add(response.on("close", () => open.delete(response)));
      void answer(response);
      return;
    }
    const forwarded = request(new URL(incoming.url!, serverUrl), { method: incoming.method!, headers: incoming.headers }, (reply) => {
      response.writeHead(reply.statusCode!, reply.headers);
      reply.pipe(response);
    });
    forwarded.on("error", () => response.destroy());
    response.on("close", () => forwarded.destroy());
    incoming.pipe(forwarded);
  };
  const port = await freePort();
  let server = createServer(handle).listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${port}`,
    answerWith: (next) => void (answer = next),
    breakOff: () => open.forEach((response) => response.destroy()),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
    reopen: async () => {
      server = createServer(handle).listen(port, "127.0.0.1");
      await once(server, "listening");
    },
  };
}

/** A stream of chunks with these contents, then an end as told. */
export function streamed(contents: readonly string[], end: "done" | { readonly error: object } | "open"): ChatAnswer {
  return (response) => {
    if (!response.headersSent) response.writeHead(200, { "content-type": "text/event-stream" });
    for (const content of contents) response.write(frame({ choices: [{ index: 0, delta: { content }, finish_reason: null }] }));
    if (end === "done") response.end(`${frame({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })}data: [DONE]\n\n`);
    else if (typeof end === "object") response.end(frame(end));
  };
}

/** One call of a tool. */
export function calling(name: string, args: object): ChatAnswer {
  const delta = { tool_calls: [{ index: 0, id: "call_1", function: { name, arguments: JSON.stringify(args) } }] };
  return (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end(`${frame({ choices: [{ index: 0, delta, finish_reason: "tool_calls" }] })}data: [DONE]\n\n`);
  };
}

/** One answer after another; the last one again and again. */
export function inTurn(...answers: readonly ChatAnswer[]): ChatAnswer {
  let next = 0;
  return (response) => answers[Math.min(next++, answers.length - 1)]!(response);
}

/** The same words again and again, until the page has gone or stopped it. */
export function endless(content: string): ChatAnswer {
  return (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const timer = setInterval(() => response.write(frame({ choices: [{ index: 0, delta: { content } }] })), 25);
    response.on("close", () => clearInterval(timer));
  };
}

export function refused(status: number, message: string, headers: Record<string, string> = {}): ChatAnswer {
  return (response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify({ error: { message, type: "error", param: null, code: null } }));
  };
}

function frame(value: object): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}
