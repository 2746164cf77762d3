"""Special tokens and the chat format in plain Python; chat_template.jinja writes the same text."""

from pathlib import Path

BOS, EOS = "<|begin_of_sentence|>", "<|end_of_sentence|>"
IMAGE, IMAGE_START, IMAGE_END = "<|IMAGE_PLACEHOLDER|>", "<|IMAGE_START|>", "<|IMAGE_END|>"
VIDEO, VIDEO_START, VIDEO_END = "<|VIDEO_PLACEHOLDER|>", "<|VIDEO_START|>", "<|VIDEO_END|>"
THINK, THINK_END = "<think>", "</think>"
CALL, CALL_END = "<tool_call>", "</tool_call>"
RESPONSE, RESPONSE_END = "<response>", "</response>"

# The order gives the token ids 0..18.
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "<mask:0>", BOS, EOS, IMAGE, IMAGE_START, IMAGE_END]
SPECIAL += [VIDEO, VIDEO_START, VIDEO_END, THINK, THINK_END, CALL, CALL_END, RESPONSE, RESPONSE_END]

# The tokens that go to the vision experts.
VISION = [IMAGE, IMAGE_START, IMAGE_END, VIDEO, VIDEO_START, VIDEO_END]

TEMPLATE = Path(__file__).with_name("chat_template.jinja").read_text(encoding="utf-8")

TOOLS_TAIL = "\nCall a tool with " + CALL + '{"name": ..., "arguments": {...}}' + CALL_END


def generation_prompt(think):
    """The end of a prompt; without thinking the thought is already there, and empty."""
    return "\nAssistant: " + (f"{THINK}\n" if think else f"{THINK}\n\n{THINK_END}\n\n")


def completion(answer, thought=None):
    """What the model has to write after generation_prompt()."""
    if thought is None:
        return answer + EOS
    return f"{thought}\n{THINK_END}\n\n{answer}{EOS}"


def picture(number):
    """The place of a picture in a prompt; the placeholder is repeated once per picture token later."""
    return f"Picture {number}:{IMAGE_START}{IMAGE}{IMAGE_END}"


def video(number):
    """The place of a video in a prompt."""
    return f"Video {number}:{VIDEO_START}{VIDEO}{VIDEO_END}"
