// Reads streams of the Responses API as its specification demands.

import type { z } from "zod";
import { eventSchema, type responseSchema } from "../../src/api/responses/response-schema.ts";

export type WireResponse = z.infer<typeof responseSchema>;
export type WireEvent = { readonly type: string; readonly response?: WireResponse; readonly item?: { readonly type: string } };

/** The events of a stream's text: named, valid, numbered from 0, the last one final. */
export function readEvents(streamText: string): WireEvent[] {
  const frames = streamText.split("\n\n").filter((frame) => frame !== "" && !frame.startsWith(":"));
  const events = frames.map((frame) => {
    const [, name, data] = /^event: (.+)\ndata: (.+)$/.exec(frame) ?? [];
    const parsed = eventSchema.parse(JSON.parse(data ?? "null"));
    if (parsed.type !== name) throw new Error(`an event of type ${parsed.type} is named ${name}`);
    return parsed as unknown as WireEvent & { sequence_number: number };
  });
  events.forEach(({ sequence_number: number }, index) => {
    if (number !== index) throw new Error(`event ${index} has the number ${number}`);
  });
  if (!/^response\.(completed|incomplete|failed)$/.test(events.at(-1)?.type ?? "")) throw new Error("the last event is not final");
  return events;
}
