"""Train and save the tokenizer: byte-pair encoding with byte fallback, spaces written as ▁."""

import json
import random
import re

from data import rows
from data.chat import (
    BOS, EOS, IMAGE, IMAGE_END, IMAGE_START, SPECIAL, TEMPLATE, VIDEO, VIDEO_END, VIDEO_START,
)
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

VOCABULARY_SIZE = 2048
BYTES = [f"<0x{i:02X}>" for i in range(256)]

# Words may merge; digits and the capitals of all-caps words stay one character per token, so reading is letter by letter.
PIECES = r"▁?[A-Z]?[a-z_]+|\d|▁?[^\sA-Za-z0-9▁]+|[A-Z]|▁|\n+"


def corpus(row_count=24000, seed=7):
    """The texts of generated rows, cut at special tokens."""
    rng = random.Random(seed)
    special = re.compile("|".join(re.escape(t) for t in SPECIAL))
    makers = [rows.picture_row, rows.text_row, rows.text_row, rows.text_row, rows.pair_row, rows.video_row]
    for i in range(row_count):
        row = makers[i % len(makers)](rng)
        for branch in row["branches"]:
            for part in special.split(row["prefix"] + branch["prompt"] + branch["target"]):
                if part:
                    yield part.replace(" ", "▁")
        if i % 40 == 0:
            yield from ("Picture▁1:", "Video▁1:", "User:▁", "Assistant:▁", "Tool:▁")


def train_tokenizer():
    """A tokenizer trained on the corpus; takes a few minutes, most of it for drawing pictures."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=SPECIAL + BYTES,
        initial_alphabet=[chr(c) for c in range(33, 127)] + ["▁", "\n"],
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    final = Tokenizer(
        models.BPE(vocab=model["vocab"], merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    final.normalizer = normalizers.Replace(" ", "▁")
    final.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    final.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    return final


def save_tokenizer(tokenizer, folder):
    """Write the tokenizer's files and the chat template in the layout of transformers."""
    tokenizer.save(str(folder / "tokenizer.json"))
    roles = dict(bos_token=BOS, eos_token=EOS, unk_token="<unk>", pad_token="<pad>")
    media = dict(
        image_token=IMAGE, image_start_token=IMAGE_START, image_end_token=IMAGE_END,
        video_token=VIDEO, video_start_token=VIDEO_START, video_end_token=VIDEO_END,
    )
    flags = dict(lstrip=False, normalized=False, rstrip=False, single_word=False, special=True)
    config = dict(
        tokenizer_class="PreTrainedTokenizerFast",
        **roles,
        extra_special_tokens=media,
        add_bos_token=False,
        add_eos_token=False,
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
        padding_side="left",
        processor_class="Ernie4_5_VLMoeProcessor",
        added_tokens_decoder={str(tokenizer.token_to_id(t)): dict(content=t, **flags) for t in SPECIAL},
        chat_template=TEMPLATE,
    )
    write_json(folder / "tokenizer_config.json", config)
    others = [t for t in SPECIAL if t not in roles.values()]
    write_json(folder / "special_tokens_map.json", dict(**roles, additional_special_tokens=others))
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")


def write_json(path, value):
    """Write an indented JSON file, UTF-8."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2), encoding="utf-8")
