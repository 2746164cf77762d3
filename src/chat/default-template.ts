// The chat format of ERNIE-4.5-VL-PT (model spec, 6.2), for checkpoints that carry no template of their own.

export const defaultTemplate = `
{%- set images = namespace(count=0) -%}
{%- macro render(content) -%}
  {%- if content is string -%}{{- content -}}
  {%- else -%}
    {%- for part in content -%}
      {%- if part.type == 'image' -%}
        {%- set images.count = images.count + 1 -%}
        {{- 'Picture ' ~ images.count ~ ':<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>' -}}
      {%- else -%}{{- part.text -}}
      {%- endif -%}
    {%- endfor -%}
  {%- endif -%}
{%- endmacro -%}
{{- '<|begin_of_sentence|>' -}}
{%- for message in messages -%}
  {%- if message.role == 'system' -%}
    {{- render(message.content) ~ '\\n' -}}
  {%- elif message.role == 'user' -%}
    {{- 'User: ' ~ render(message.content) -}}
  {%- else -%}
    {{- '\\nAssistant: ' -}}
    {%- if message.reasoning_content -%}
      {{- '<think>\\n' ~ message.reasoning_content.strip('\\n') ~ '\\n</think>\\n' -}}
    {%- endif -%}
    {{- render(message.content) ~ '<|end_of_sentence|>' -}}
  {%- endif -%}
{%- endfor -%}
{{- '\\nAssistant: ' ~ ('<think>' if enable_thinking else '<think>\\n\\n</think>\\n\\n') -}}
`;
