import { expect, test } from "vitest";
import { chatPath, helloEvents, makeApp, post, userSays } from "./make-app.ts";

test("bodies that arrive together are read one in each turn of the event loop, and keys take turns", async () => {
  let turn = 0;
  let isOver = false;
  const count = (): void => {
    turn++;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  const read: { turn: number; client: string }[] = [];
  const { app } = makeApp(
    ({ options }) => {
      read.push({ turn, client: options.cacheSalt! });
      return (async function* () {
        yield* helloEvents;
      })();
    },
    { apiKeys: ["ann", "bob"] },
  );

  const senders = [...Array.from({ length: 20 }, () => "ann"), "bob"];
  const answers = senders.map((key) => app.request(chatPath, post(userSays("Hi"), { authorization: `Bearer ${key}` })));
  for (const answer of await Promise.all(answers)) expect(answer.status).toBe(200);
  isOver = true;

  expect(new Set(read.map((one) => one.turn)).size).toBe(senders.length);
  const [first] = read;
  expect(read.findIndex(({ client }) => client !== first!.client)).toBeLessThanOrEqual(2);
});
