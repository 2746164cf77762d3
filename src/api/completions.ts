// POST /v1/completions: the model continues texts. OpenAI's API from before chat completions.

import type { Handler } from "hono";
import type { ChatService } from "../chat/complete.ts";
import type { TextPrompt } from "../core/chat.ts";
import { collectAnswers, withoutAnswers } from "./answer.ts";
import type { RouteOptions } from "./app-options.ts";
import { CompletionStream } from "./completion-stream.ts";
import { completionFields, parseCompletionRequest } from "./completions-schema.ts";
import { Exchange, refuseUnlessReady } from "./exchange.ts";
import { toGenerationOptions } from "./from-openai.ts";
import { refuseManyLogprobs } from "./logprob-limit.ts";
import { toOutputFormat } from "./output-format.ts";
import { randomId } from "./random-id.ts";
import { readRequest } from "./read-json.ts";
import type { AppEnv } from "./request-record.ts";
import { type CompletionForm, toCompletion } from "./to-completion.ts";

export function completions(service: ChatService, options: RouteOptions): Handler<AppEnv> {
  return async function answerCompletion(c) {
    refuseUnlessReady(options.isReady);
    const request = await readRequest(c, options, completionFields, parseCompletionRequest);
    const exchange = new Exchange(c);
    const { prompts, logprobs, echo = false, n = 1 } = request;
    const format = toOutputFormat(request, undefined);
    const fields = { ...request, logprobs: logprobs !== undefined, top_logprobs: logprobs };
    const asked = toGenerationOptions(fields, options.generationDefaults, c.get("cacheSalt"));
    const echoedLogprobCount = echo ? logprobs : undefined;
    const generation = {
      ...asked,
      maxTokens: request.max_tokens === Infinity ? undefined : Math.max(1, request.max_tokens),
      ...(format && { format }),
      ...(echoedLogprobCount !== undefined && {
        tellsEndLogprob: true,
        promptLogprobCount: Math.max(echoedLogprobCount, asked.promptLogprobCount ?? 0),
      }),
    };
    if (!request.stream) refuseManyLogprobs(generation, options.contextLength, prompts.length);
    const form: CompletionForm = {
      head: { id: `cmpl-${randomId()}`, created: Math.floor(Date.now() / 1000), model: options.modelId },
      echoes: prompts.flatMap((prompt) => Array<string>(n).fill(echo ? textOf(prompt, service) : "")),
      choiceCount: n,
      echoedLogprobCount,
      promptLogprobCount: asked.promptLogprobCount,
    };

    const answered = exchange.completeTexts(service, prompts, generation);
    const events = request.max_tokens === 0 ? withoutAnswers(answered) : answered;
    if (request.stream) return exchange.stream(events, new CompletionStream(form, request.stream_options?.include_usage ?? false));
    return exchange.answer(events, async (all) => toCompletion(form, await collectAnswers(all, form.echoes.length)));
  };
}

function textOf(prompt: TextPrompt, service: ChatService): string {
  return "text" in prompt ? prompt.text : service.tokens.decode(prompt.tokenIds, prompt.param);
}
