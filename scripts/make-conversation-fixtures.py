"""Makes test/fixtures/chat/conversations.json.gz: random conversations, and the prompts that transformers makes of them.

    python scripts/make-conversation-fixtures.py

Needs torch and transformers 5.18. The same program gives the same file. Texts have many scripts, emoji, odd white space, Jinja, and control tokens;
pictures and videos are only sizes. Every conversation is rendered by transformers with the template of models/ernie-vl-nano and with the built-in
templates. For the first of them, ids are those of Python's tokenizers, positions those of the model's get_rope_index.

The server never reads a control token in a client's text. transformers does, so a mark breaks each of them while a template runs, and ids are
looked up in pieces: the template's control tokens, and what lies between, without the mark.
"""

import gzip
import json
import random
import re
from pathlib import Path
from types import SimpleNamespace

import torch
from tokenizers import Tokenizer
from transformers import AutoConfig
from transformers.models.ernie4_5_vl_moe.modeling_ernie4_5_vl_moe import Ernie4_5_VLMoeModel
from transformers.utils.chat_template_utils import render_jinja_template

ROOT = Path(__file__).parent.parent
NANO = ROOT / "models/ernie-vl-nano"
MARK = "\uf8f0"
TOKENIZER = Tokenizer.from_file(str(NANO / "tokenizer.json"))
TOKENIZER.encode_special_tokens = True
CONTROL = [token.content for token in TOKENIZER.get_added_tokens_decoder().values() if token.special]
CONTROL_PATTERN = re.compile("|".join(map(re.escape, CONTROL)))
WORDS = "How many red circles are in the picture ? Compare both , then explain 12 + 30 = 42 . I'm naïve".split()
UNUSUAL = [
    "图片里有几个圆形？", "請問", "日本語", "안녕하세요", "هذا نص", "עולם", "👍🏽", "👩‍👩‍👧‍👦", "🇫🇷", "e\u0301", "Z͑ͫ̓̽", "ﬁ½Ａ１", "\u200b\u200d", "\x00", "\x7f", "\U0010ffff", "\ue000",
    "▁", "<0x0A>", "{{ messages }}", "{% raw %}", "{# c #}", "$& $1", "\\", "\\n", "\"", "'", "{\"a\": [1]}", "<|", "think>", "&lt;", "__proto__", "<|im_start|>", "\nAssistant: ",
]  # fmt: skip
SPACES = [" ", "  ", "\n", "\n\n", "\r\n", "\t", "\u00a0", "\u3000", "\u2028", "\ufeff", "\x85", "\x1c", " \n ", " " * 20]


def random_text(rng, most=9):
    if rng.random() < 0.05:
        return ""
    kinds = rng.choices([[w + " " for w in WORDS], UNUSUAL, SPACES, CONTROL], [12, 6, 3, 1], k=rng.randint(1, most))
    return "".join(rng.choice(kind) for kind in kinds)


def random_value(rng, depth=0):
    kind = rng.random()
    if depth < 2 and kind < 0.4:
        items = [random_value(rng, depth + 1) for _ in range(rng.randint(0, 3))]
        return items if kind < 0.2 else {random_text(rng, 2): item for item in items}
    return rng.choice([random_text(rng, 4), rng.choice([0, -1, 12345678901, 0.5, 1e-4]), True, None])


def random_tool(rng, name):
    properties = {key: {"type": "string", "description": random_text(rng, 4), "default": random_value(rng)} for key in ["city", "单位", "a b"]}
    return {"name": name, "description": random_text(rng), "parameters": {"type": "object", "properties": properties, "required": ["city"]}}


def random_part(rng, shows):
    kind = rng.random()
    half = lambda most: 2 * rng.randint(1, most)
    if not shows or kind < 0.6:
        return {"type": "text", "text": random_text(rng)}
    rows, columns = half(3), half(3)
    # No longer than its frames are wide or high: for longer videos, Baidu's rule for positions is another one.
    return {"type": "image" if kind < 0.85 else "video", "grid": [1 if kind < 0.85 else half(max(rows, columns) // 2), rows, columns]}


def random_conversation(rng):
    def content(shows=False, most=1):
        return [random_part(rng, shows) for _ in range(rng.randint(1, most))]

    tools = [random_tool(rng, name) for name in ["look_up", "f-2"]] if rng.random() < 0.4 else None
    messages = [{"role": "system", "content": content(most=2)}] if rng.random() < 0.4 else []
    for _ in range(rng.randint(0, 3)):
        messages.append({"role": "user", "content": content(True, 4)})
        answer = {"role": "assistant", "content": content(most=2)}
        if rng.random() < 0.4:
            answer["reasoning"] = random_text(rng)
        messages.append(answer)
        if tools and rng.random() < 0.7:
            answer["arguments"] = {random_text(rng, 2): random_value(rng) for _ in range(2)}
            messages.append({"role": "tool", "content": content()})
    messages.append({"role": "user", "content": content(True, 4)})
    return {"messages": messages, "tools": tools, "thinking": rng.random() < 0.5}


def mark(value):
    if isinstance(value, str):
        return CONTROL_PATTERN.sub(lambda token: token[0][0] + MARK + token[0][1:], value)
    if isinstance(value, list):
        return [mark(item) for item in value]
    return {mark(key): mark(item) for key, item in value.items()} if isinstance(value, dict) else value


def unmark(text):
    return text.replace(MARK, "").replace(f"\\u{ord(MARK):x}", "")


def render(chat, template):
    messages = []
    for message in mark(chat["messages"]):
        is_text = all(part["type"] == "text" for part in message["content"])
        shown = {**message, "content": "".join(part["text"] for part in message["content"])} if is_text else message
        if "reasoning" in message:
            shown["reasoning_content"] = message["reasoning"]
        if "arguments" in message:
            shown["tool_calls"] = [{"function": {"name": "f-2", "arguments": json.dumps(message["arguments"], ensure_ascii=False)}}]
        messages.append(shown)
    tools = chat["tools"] and [{"type": "function", "function": mark(tool)} for tool in chat["tools"]]
    return render_jinja_template(
        [messages], tools=tools, chat_template=template, add_generation_prompt=True, enable_thinking=chat["thinking"]
    )[0][0]  # fmt: skip


def encode(prompt, chat):
    """Ids, and for each of them 0 (text), 1 (picture) or 2 (video)."""
    grids = {kind: [p["grid"] for m in chat["messages"] for p in m["content"] if p["type"] == kind] for kind in ["image", "video"]}
    waiting = {kind: iter(sizes) for kind, sizes in grids.items()}
    ids, types, end = [], [], 0
    for token in [*CONTROL_PATTERN.finditer(prompt), None]:
        piece = TOKENIZER.encode(unmark(prompt[end : token.start() if token else None]), add_special_tokens=False).ids
        ids, types = ids + piece, types + [0] * len(piece)
        if token is None:
            break
        end, count, kind = token.end(), 1, 0
        if visual := re.fullmatch(r"<\|(IMAGE|VIDEO)_PLACEHOLDER\|>", token[0]):
            frames, rows, columns = next(waiting[visual[1].lower()])
            count, kind = max(1, frames // 2) * rows * columns // 4, 1 if visual[1] == "IMAGE" else 2
        ids, types = ids + [TOKENIZER.token_to_id(token[0])] * count, types + [kind] * count
    tensors = [torch.tensor(sizes) if sizes else None for sizes in grids.values()]
    model = SimpleNamespace(config=AutoConfig.from_pretrained(NANO))
    model.get_vision_position_ids = lambda *a, **k: Ernie4_5_VLMoeModel.get_vision_position_ids(model, *a, **k)
    positions, delta = Ernie4_5_VLMoeModel.get_rope_index(model, torch.tensor([ids]), torch.tensor([types]), *tensors)
    return {"ids": ids, "positions": positions[:, 0].tolist(), "positionDelta": int(delta)}


def main():
    source = (ROOT / "src/chat/built-in-templates.ts").read_text()
    literals = dict(re.findall(r"^const (\w+) = `(.*?)`;", source, re.S | re.M))
    built_in = {name: literals[name].replace("${render}", literals["render"]).replace("\\\\n", "\\n") for name in ["pt", "thinking"]}
    templates = {"nano": (NANO / "chat_template.jinja").read_text(), **built_in}
    conversations = []
    for seed in range(80):
        chat = random_conversation(random.Random(seed))
        supported = {name: template for name, template in templates.items() if name != "pt" or not chat["tools"]}
        marked = {name: render(chat, template) for name, template in supported.items()}
        prompts = {name: unmark(prompt) for name, prompt in marked.items()}
        conversations.append({**chat, "prompts": prompts, "nano": encode(marked["nano"], chat)})
    record = {"source": "scripts/make-conversation-fixtures.py", "conversations": conversations}
    packed = gzip.compress(json.dumps(record, separators=(",", ":")).encode(), mtime=0)
    (ROOT / "test/fixtures/chat/conversations.json.gz").write_bytes(packed)


if __name__ == "__main__":
    main()
