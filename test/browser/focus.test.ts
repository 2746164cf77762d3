// Where the focus is after what one did, and what who hears the page is told.

import type { Page } from "playwright-core";
import { beforeEach, describe, expect, test } from "vitest";
import { openBehindFront } from "./behind-front.ts";
import { lastAnswer, messageField, send } from "./browser.ts";
import { endless, type Front, refused, streamed } from "./front.ts";

let front: Front;
let page: Page;

openBehindFront(
  (readyFront, opened) => {
    front = readyFront;
    page = opened.page;
  },
  { answer: streamed(["Words."], "done") },
);

const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent);

/** What live regions came to say, in order. */
async function heard(): Promise<() => Promise<string[]>> {
  await page.evaluate(() => {
    const said: string[] = [];
    Object.assign(window, { said });
    new MutationObserver((changes) => {
      for (const { target, addedNodes } of changes) {
        const element = target instanceof Element ? target : target.parentElement;
        const region = element?.closest("[role=alert],[role=status],[aria-live]");
        if (region) said.push(region.textContent!);
        for (const node of addedNodes)
          if (node instanceof Element) node.querySelectorAll("[role=alert]").forEach((found) => said.push(found.textContent!));
      }
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  return () => page.evaluate(() => (window as unknown as { said: string[] }).said.filter((text) => text !== ""));
}

describe("a conversation's name", () => {
  beforeEach(async () => {
    await send(page, "Stars");
    await lastAnswer(page);
    await page.getByRole("button", { name: "Stars", exact: true }).hover();
    await page.getByRole("button", { name: "Rename Stars" }).click();
    await page.getByRole("textbox", { name: "Conversation name" }).fill("Moons");
  });

  test("stays as it was after Escape", async () => {
    await page.keyboard.press("Escape");
    await page.getByRole("textbox", { name: "Conversation name" }).waitFor({ state: "detached" });
    expect(await focused()).toBe("Stars");
    await page.waitForTimeout(100); // a name would have been kept

    expect(await page.locator(".entry .open").allTextContents()).toEqual(["Stars"]);
  });

  test("is the new one after Enter, and has the focus", async () => {
    await page.keyboard.press("Enter");

    await expect.poll(() => page.locator(".entry .open").allTextContents()).toEqual(["Moons"]);
    await expect.poll(focused).toBe("Moons");
  });
});

describe("a deletion that is asked about", () => {
  beforeEach(async () => {
    await send(page, "Stars");
    await lastAnswer(page);
  });
  const askToDelete = async () => {
    await page.getByRole("button", { name: "Stars", exact: true }).hover();
    await page.getByRole("button", { name: "Delete Stars" }).click();
  };

  test("has the focus once, and does not take it back while an answer is written", async () => {
    front.answerWith(endless("word "));
    await page.getByRole("button", { name: "New conversation" }).first().click();
    await send(page, "Moons");
    await page.locator(".turn.answer .markdown").waitFor();
    await askToDelete();
    expect(await focused()).toBe("Delete");
    await messageField(page).focus();
    await page.waitForTimeout(300);

    expect(await focused()).toBe("Message");
    await page.keyboard.press("Escape");
  });

  test("gives the focus back to the conversation, or to what is beside it", async () => {
    await askToDelete();
    await page.getByRole("button", { name: "Cancel" }).click();
    await expect.poll(focused).toBe("Stars");
    await askToDelete();
    await page.keyboard.press("Enter");

    await expect.poll(() => page.locator(".entry").count()).toBe(0);
    await expect.poll(focused).toMatch(/New conversation/);
  });
});

describe("a dialog that is closed by its button gives the focus back", () => {
  test("to what opened it", async () => {
    await page.getByRole("button", { name: "Server status" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();

    await expect.poll(focused).toBe("Server status");
  });

  test("to the button of a panel over the page", async () => {
    await page.setViewportSize({ width: 700, height: 800 });
    await page.getByRole("complementary", { name: "Conversations" }).waitFor({ state: "detached" }); // the page knows that it is narrow
    await page.getByRole("button", { name: "Settings" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Close settings" }).click();
    await expect.poll(focused).toBe("Settings");

    await page.getByRole("button", { name: "Settings" }).click();
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.getByRole("complementary", { name: "Settings" }).waitFor(); // the panel stays, beside the page
    await page.waitForTimeout(100);
    expect(await page.getByRole("complementary", { name: "Settings" }).count()).toBe(1);
  });
});

test("settings beside the page get the focus when they open, and give it back to their button", async () => {
  await page.getByRole("button", { name: "Settings" }).press("Enter");
  await expect.poll(focused).toBe("Answer"); // the tab; between it and the button lies the whole conversation
  await page.keyboard.press("Shift+Tab");
  expect(await focused()).toBe("Close settings");
  await page.keyboard.press("Enter");

  await expect.poll(focused).toBe("Settings");
});

test("the title of the page and its heading are those of the conversation", async () => {
  expect(await page.title()).toBe("ernie-vl");
  await send(page, "Stars");
  await lastAnswer(page);

  expect(await page.title()).toBe("Stars – ernie-vl");
  expect(await page.getByRole("heading", { level: 1 }).allTextContents()).toEqual(["Stars"]);
});

test.each([
  ["a sample", () => page.locator(".sample", { hasText: "Add 38 and 38." }).click()],
  [
    "an edited message",
    async () => {
      await send(page, "Stars");
      await lastAnswer(page);
      await page.getByRole("button", { name: "Edit this message" }).click();
      await page.keyboard.press("Enter");
    },
  ],
  [
    "an answer that is asked for again",
    async () => {
      await send(page, "Stars");
      await (await lastAnswer(page)).getByRole("button", { name: "Answer again" }).click();
    },
  ],
])("after %s the focus is in the message field", async (_, act) => {
  await act();

  await expect.poll(focused).toBe("Message");
});

describe("what cannot be sent", () => {
  const call = { index: 0, id: "call_1", function: { name: "look", arguments: "{}" } };
  beforeEach(async () => {
    front.answerWith((response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      const chunk = { choices: [{ index: 0, delta: { tool_calls: [call] }, finish_reason: "tool_calls" }] };
      response.end(`data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`);
    });
    await page.getByRole("button", { name: "What is the weather in Toronto?" }).click();
    await page.getByLabel("Result of the call").fill("rain");
  });

  test("for a mistake in the tools shows the mistake, and results stay as typed", async () => {
    await page.getByRole("button", { name: "Tools", exact: true }).click();
    await page.getByLabel("Tools, in OpenAI's format").fill("[");
    await page.getByRole("button", { name: "Close settings" }).click();
    await page.getByRole("button", { name: "Send the result" }).click();

    await page.getByRole("button", { name: "line 1, column 2" }).waitFor();
    expect(await page.getByLabel("Result of the call").inputValue()).toBe("rain");
  });

  test("while another conversation is answered cannot be clicked", async () => {
    front.answerWith(endless("word "));
    await page.getByRole("button", { name: "New conversation" }).first().click();
    await send(page, "Moons");
    await page.getByRole("button", { name: "New conversation" }).first().click();
    await page.getByRole("heading", { name: "Ask about a picture" }).waitFor();
    expect(await page.locator(".sample:enabled").count()).toBe(0);
    await page.getByRole("button", { name: "What is the weather in Toronto?", exact: true }).click();

    await expect.poll(() => page.getByRole("button", { name: "Send the result" }).isDisabled()).toBe(true);
    await page.keyboard.press("Escape");
    await expect.poll(() => page.getByRole("button", { name: "Send the result" }).isDisabled()).toBe(false);
  });
});

describe("what is heard", () => {
  test("of a problem is said once, not with each second that is counted down", async () => {
    front.answerWith(refused(429, "the queue is full", { "retry-after-ms": "60000" }));
    const said = await heard();
    await send(page, "Stars");
    await page.getByText(/best in 5[0-7] s/).waitFor(); // three seconds were counted

    expect((await said()).filter((text) => text.includes("The server is busy"))).toHaveLength(1);
  });

  test("is not an old answer while another conversation is answered, nor when it is opened", async () => {
    await send(page, "Stars");
    await lastAnswer(page);
    await page.getByRole("button", { name: "New conversation" }).first().click();
    front.answerWith(endless("word "));
    await send(page, "Moons");
    await page.locator(".turn.answer .markdown").waitFor();
    const said = await heard();
    await page.getByRole("button", { name: "Stars", exact: true }).click();
    await page.getByText("Words.").waitFor();
    await page.keyboard.press("Escape"); // which ends the other answer
    await page.getByRole("button", { name: "Send" }).waitFor();

    expect(await said()).toEqual([]);
  });

  test("of JSON that is being typed is its verdict once the typing rests", async () => {
    await page.getByRole("button", { name: "Settings" }).click();
    await page.getByRole("tab", { name: "Tools" }).click();
    await page.clock.install();
    await page.clock.pauseAt(Date.now() + 60_000);
    const said = await heard();
    await page.getByLabel("Tools, in OpenAI's format").fill("");
    for (const key of '[{"type": "fun') {
      await page.clock.runFor(900); // less than a rest
      await page.keyboard.type(key);
    }
    expect(await said()).toEqual([]);
    await page.clock.runFor(1100);

    expect(await said()).toHaveLength(1);
  });
});
