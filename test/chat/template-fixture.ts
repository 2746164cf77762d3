// Templates, and prompts as text, for the tests of templates.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { PromptSegment } from "../../src/chat/marked-texts.ts";
import { ChatTemplate, loadTemplate } from "../../src/chat/template.ts";
import type { ShownChat, ShownMessage } from "../../src/core/chat.ts";
import { temporaryFolder } from "../temporary-folder.ts";

/** The built-in template for a folder without one; the name of the folder decides which. */
export function builtInTemplate(name: "pt" | "thinking"): ChatTemplate {
  const folder = join(temporaryFolder(), name);
  mkdirSync(folder);
  return loadTemplate(folder);
}

export function makeTemplate(jinja: string): ChatTemplate {
  return new ChatTemplate({ jinja, path: "some.jinja", tokens: { bos_token: "<b>", eos_token: "<e>" } });
}

export function makeConversation(turns: readonly (readonly [ShownMessage["role"], string])[]): ShownChat {
  return { messages: turns.map(([role, text]) => ({ role, content: [{ type: "text", text }] })), thinking: false };
}

export function show(segments: readonly PromptSegment[]): string {
  return segments.map((segment) => ("text" in segment ? segment.text : `<|${segment.type.toUpperCase()}_PLACEHOLDER|>`)).join("");
}

/**
 * Has the features of the template that ERNIE-4.5-VL-28B-A3B-Thinking has on the hub: FastDeploy's options, a macro with default arguments that
 * counts, words surrounded by the white space that tags leave, a filter that only subtitles need. The part after the macro is not public; it is ours.
 */
export const likePublishedThinking = `{%- if chat_template_kwargs is defined and chat_template_kwargs.options is defined -%}
    {%- set options = chat_template_kwargs.options -%}
{%- endif -%}
{#- thinks unless told not to -#}
{%- if options is not defined -%}
    {%- set options = {'thinking_mode': true} -%}
{%- endif -%}
{%- set thinks = options.get('thinking_mode', true) in ['open', 'true', true] -%}
{%- set pictures = namespace(count=0) -%}
{% macro show(parts, counts=True, role="user") %}
    {%- for part in parts -%}
        {%- if part.type == 'text' -%}
            {{- part.text }}
        {%- elif part.type in ['image_url', 'image'] -%}
            {%- if counts -%}
                {%- set pictures.count = pictures.count + 1 -%}
            {%- endif -%}
            {{ ' ' }}Picture{{ ' ' ~ pictures.count if counts else '' }}:<|IMAGE_START|><|image@placeholder|><|IMAGE_END|>
        {%- elif part.type in ['video_url', 'video'] -%}
            {{ ' ' }}Video:<|VIDEO_START|><|video@placeholder|><|VIDEO_END|>
            {%- if part.video_url is defined and part.video_url.subtitles -%}
                {{ "%.1f"|format(part.video_url.subtitles[0]) }}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}
{{- '<|begin_of_sentence|>' -}}
{%- for message in messages -%}
    {%- if message.role == 'user' -%}
        User: {{ message.content if message.content is string else show(message.content) }}
        {{- '\\nAssistant: ' -}}
    {%- elif message.role == 'tool' -%}
        {{- 'User: \\n<tool_output>\\n' }}{{ show(message.content, role='tool') }}{{- '\\n</tool_output>\\n\\nAssistant: ' -}}
    {%- elif message.role == 'assistant' -%}
        {{- '\\n<think>\\n' + (message.reasoning_content or '').strip('\\n') + '\\n</think>\\n\\n' + message.content -}}
        {%- for call in message.tool_calls or [] -%}
            {{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' + call.function.arguments + '}\\n</tool_call>\\n' -}}
        {%- endfor -%}
        {{- '<|end_of_sentence|>' -}}
    {%- endif -%}
{%- endfor -%}
{{- '\\n<think>\\n' if thinks else '\\n<think>\\n\\n</think>\\n\\n' -}}
`;
