// The default chats of a calibration: short, and as diverse as real questions. Kinds are interleaved, because with a tokenizer that needs many
// tokens the budget ends early in the list.

import type { ChatMessage, ContentPart } from "../../core/chat.ts";
import type { CalibrationChat } from "./calibration-chat.ts";
import { draw, drawNoise, type DrawingName } from "./pictures.ts";

/** `turns` alternate between user and assistant; the last one gets the `picture`. */
type BuiltIn = {
  readonly turns: readonly [string, ...string[]];
  readonly system?: string;
  readonly picture?: DrawingName | "noise";
  readonly thinking?: boolean;
};

const chats: readonly BuiltIn[] = [
  { turns: ["Describe this picture in two sentences."], picture: "landscape" },
  { turns: ["Explain to a ten-year-old why the sky is blue in the day and red in the evening."] },
  { turns: ["请用三句话介绍一下长江。"] },
  { turns: ["Which month had the most visitors, and about how many more than March?"], picture: "barChart", thinking: true },
  { turns: ["Write a Python function that merges two sorted lists without using sort, and say what its running time is."] },
  { turns: ["What is the total on this receipt, and what did the customer drink?"], picture: "receipt" },
  { turns: ["A train leaves at 9:40 and arrives at 13:05. It stops for 25 minutes in all. How long does it move?"], thinking: true },
  { turns: ["这张图里有哪些形状？它们分别是什么颜色？"], picture: "shapes" },
  {
    turns: [
      "Hi! I moved to a new town last week.",
      "How exciting! How do you like it so far?",
      "It's quiet. How do I get to know people here?",
    ],
  },
  {
    turns: [
      'Answer with JSON only. Extract name, city and age: "Maria, who turned 34 in June, has lived in Porto since she was a student."',
    ],
    system: "You are a careful assistant that answers in valid JSON.",
  },
  { turns: ["Find the length of side x. Show each step."], picture: "geometry", thinking: true },
  { turns: ["Écris une lettre courte pour annuler un abonnement de salle de sport."] },
  { turns: ["把下面的句子翻译成英文：学而时习之，不亦说乎？有朋自远方来，不亦乐乎？"] },
  { turns: ["Put the table in this image into Markdown."], picture: "table" },
  {
    turns: [
      "Summarize in one sentence: The committee met on Tuesday to discuss the bridge. Two members wanted to repair it, since the foundation is sound; three wanted to replace it, because lorries have become heavier. A decision was put off until an engineer has measured how far the middle bends under load.",
    ],
  },
  { turns: ["Which of the two lines rises, and when do they cross?"], picture: "lineChart" },
  { turns: ["Solve for x and y: 3x + 2y = 16 and x − y = 2. Then check the result."], thinking: true },
  { turns: ["¿Qué diferencia hay entre «por» y «para»? Da dos ejemplos de cada uno."] },
  { turns: ["What does this sign tell a driver? What does the second line mean?"], picture: "sign" },
  {
    turns: ["Why does this loop never end?\n\n```js\nlet i = 10;\nwhile (i !== 0) {\n  i -= 3;\n  console.log(i);\n}\n```"],
  },
  { turns: ["小明有24个苹果，分给朋友三分之一，又买了5个。他现在有几个苹果？"], thinking: true },
  { turns: ["Explain the diagram. What happens when Worker A stops?"], picture: "flowDiagram" },
  {
    turns: ["| item | price |\n|---|---|\n| pen | 1.20 |\n| notebook | 3.50 |\n| ruler | 0.80 |\n\nWhat do two pens and a notebook cost?"],
  },
  { turns: ["Erkläre kurz, was eine Wärmepumpe macht und wann sie sich lohnt."] },
  { turns: ["Write a haiku about rain on a tin roof, then one about the silence after it."] },
  { turns: ["List every text you can read in this screenshot, and what a user should do next."], picture: "form" },
  {
    turns: [
      "SELECT the three customers with the highest total of orders in 2023. Tables: customers(id, name), orders(id, customer_id, day, amount).",
    ],
  },
  { turns: ["日本の四季について、それぞれ一文で説明してください。"] },
  { turns: ["Is there any object in this picture, or is it only noise? Describe colours and texture."], picture: "noise" },
  {
    turns: ["Who wrote Pride and Prejudice?", "Jane Austen wrote it; it was published in 1813.", "And how is its first sentence meant?"],
  },
  { turns: ["用Python写一个函数，判断一个字符串是不是回文，忽略空格和标点。"] },
  { turns: ["Is 221 a prime number? Think about it step by step."], thinking: true },
  { turns: ["Compare electric and petrol cars: purchase, running costs, range, environment. Use a short list."] },
  { turns: ["图中三角形的周长是多少？"], picture: "geometry" },
  { turns: ["Напиши короткое поздравление коллеге с днём рождения."] },
  { turns: ["What are the symptoms of dehydration, and when should somebody see a doctor?"] },
  { turns: ["What is the capital of Australia? One word."] },
  { turns: ["اكتب جملتين عن أهمية القراءة."] },
  { turns: ["Translate into Korean, then back into English: “The meeting has been moved to Thursday at three.”"] },
  { turns: ["Fix the grammar: me and him has went to the libary yesterday, but it were closed."] },
  { turns: ["写一段对话：顾客想退一件太小的外套，店员礼貌地回答。"] },
  { turns: ["Which city in the table has the most people per square kilometre? Calculate it for each."], picture: "table", thinking: true },
  {
    turns: [
      "Play the captain of a sailing ship in a storm and tell your crew what to do.",
      "Reef the mainsail! All hands on deck!",
      "Captain, we are taking on water!",
    ],
  },
];

/** Draws the pictures. On one machine, every call returns the same bytes. */
export function builtInChats(): Promise<CalibrationChat[]> {
  return Promise.all(chats.map(async (item, i) => ({ chat: await toChat(item), place: `built-in chat ${i + 1}` })));
}

async function toChat({ turns, system, picture, thinking = false }: BuiltIn): Promise<CalibrationChat["chat"]> {
  const messages: ChatMessage[] = turns.map((text, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content: [{ type: "text", text }] }));
  if (system !== undefined) messages.unshift({ role: "system", content: [{ type: "text", text: system }] });
  if (picture === undefined) return { messages, thinking };
  const bytes = picture === "noise" ? await drawNoise(336, 252) : await draw(picture);
  const image: ContentPart = { type: "image", bytes, param: picture };
  const last = messages.at(-1)!;
  return { messages: [...messages.slice(0, -1), { ...last, content: [image, ...last.content] }], thinking };
}
