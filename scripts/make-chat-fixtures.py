"""Makes test/fixtures/chat: what Python's `tokenizers`, `transformers` and `sentencepiece` answer, for the tests of src/chat.

    python scripts/make-chat-fixtures.py CHECKPOINT SAMPLES
    python scripts/make-chat-fixtures.py                       only the folders sentencepiece*/

CHECKPOINT is the folder of a trained nano checkpoint, SAMPLES the folder of its samples.json and pictures.
Needs tokenizers, transformers, pillow, sentencepiece and protobuf. The same input gives the same files.

    nano/                   tokenizer.json, tokenizer_config.json and chat_template.jinja of the checkpoint
    byte-fallback/          a small tokenizer shaped like the 28B model's: Metaspace, byte fallback, digits added as plain tokens
    token-ids.json          a few hundred strings and their ids in both
    prompts.json            every sample: messages, rendered prompt, ids, and the patch grid of each picture
    sentencepiece/          tokenizer.model shaped like the 28B model's, with the json files beside it
    sentencepiece-json/     the same as tokenizer.json, converted by transformers
    sentencepiece-rules/    a model that rewrites texts: a few rules, no extra spaces
    sentencepiece-odd.json.gz
                            small models as no trainer makes them (equal scores, pieces of unknown characters), texts and their ids
    sentencepiece-ids.json.gz
                            words to make random texts of, and the ids of 10,000 texts: by sentencepiece and tokenizers, which agree, for
                            the first two folders, and by sentencepiece for the third
"""

import gzip
import json
import random
import shutil
import sys
from collections import Counter
from itertools import groupby
from pathlib import Path

import sentencepiece
from PIL import Image
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoImageProcessor, AutoTokenizer, LlamaTokenizer
from transformers.convert_slow_tokenizer import import_protobuf

OUT = Path(__file__).parent.parent / "test/fixtures/chat"
CONTROL = [
    "<|begin_of_sentence|>", "<|end_of_sentence|>", "<|IMAGE_PLACEHOLDER|>", "<|IMAGE_START|>", "<|IMAGE_END|>",
    "<|VIDEO_START|>", "<|VIDEO_END|>", "<think>", "</think>",
]
PROSE = [
    "The quick brown fox jumps over the lazy dog.", "What is the capital of France? Paris!", "I'm sure it's 3:45 pm, isn't it?",
    "naïve café, Übermut, señor, Ærøskøbing", "Съешь ещё этих мягких булок", "Ξεσκεπάζω την ψυχοφθόρα", "هذا نص عربي", "זה טקסט בעברית",
    "यह हिन्दी है", "ภาษาไทย", "안녕하세요 세계", "日本語のテキストです。", "图片里有几个红色的圆形？", "請問這是什麼？", "全角ＡＢＣ１２３",
]
CODE = [
    "def f(x):\n    return x ** 2  # square\n", "for (let i = 0; i < 10; i++) {\n\tconsole.log(`${i}`);\n}", "<div class=\"a\">&nbsp;</div>",
    "SELECT * FROM t WHERE a >= 1.5e-3;", "{\"key\": [1, 2.0, null, true]}", "#include <stdio.h>\r\nint main(void) { return 0; }", "$\\frac{1}{2}$",
]
HARD = [
    "", " ", "  ", "   a", "a   ", "\n", "\n\n\n", "\t\t", " \n \n ", "\r\n", "\u00a0", "\u2028\u2029", "\u3000x\u3000", "▁", "a▁b", "▁▁ ▁", "\x00", "\x7f\x1b[0m",
    "0", "0123456789", "3.14159", "1 2 3", "a1b22c333", "👍", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇫🇷🇯🇵", "e\u0301", "a\u0323\u0307", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢", "\u200b\u200d\ufeff",
    "𝒜𝓁𝑔𝑒𝒷𝓇𝒶", "\U0010ffff", "\ue000", "<0x0A>", "<0xE2>", "<", "<|", "|>", "<thin", "k>", "< think >", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "the the  the   the",
]


FIRST_PIECES = [("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3), *((f"<0x{byte:02X}>", 0, 6) for byte in range(256))]


def random_strings(count, seed=1):
    """Mixtures of all alphabets, so that merges meet where no trainer saw them."""
    rng = random.Random(seed)
    alphabet = [c for text in PROSE + CODE + HARD for c in text] + list("  \n0123456789etaoin")
    words = [word for text in PROSE + CODE for word in text.split(" ")]
    for _ in range(count):
        parts = [rng.choice(words) if rng.random() < 0.5 else rng.choice(alphabet) for _ in range(rng.randint(1, 24))]
        yield rng.choice(["", " "]).join(parts)


def byte_fallback_tokenizer():
    """Piece order and settings as in the 28B model: unk, bos, eos, digits, bytes, pieces, then the control tokens."""
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Split(Regex(r"▁*[^▁\d\n]+|▁+|\d|\n"), behavior="isolated")
    texts = [text.replace(" ", "▁") for text in PROSE * 3 + CODE * 3 + list(random_strings(300, seed=2)) + ["<think>"] * 5 + [" " * 16] * 9]
    # The rarer characters stay outside the vocabulary, so that bytes stand for them. (The trainer's own limit breaks ties at random.)
    counts = Counter("".join(texts))
    known = set(sorted(counts, key=lambda c: (-counts[c], c))[:160])
    texts = ["".join(part) for text in texts for inside, part in groupby(text, known.__contains__) if inside]
    first = ["<unk>", "<s>", "</s>", *"0123456789", *(f"<0x{byte:02X}>" for byte in range(256))]
    trained.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=1400, special_tokens=first, min_frequency=2, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    tokenizer = Tokenizer(
        models.BPE(vocab=model["vocab"], merges=[tuple(m) for m in model["merges"]], unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="never", split=False)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_tokens([AddedToken(digit, special=False, normalized=False) for digit in "0123456789"])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in ["<unk>", "<s>", "</s>", *CONTROL]])
    return tokenizer


def train_sentencepiece(path, **options):
    """SentencePiece BPE with byte fallback and the ten digits as pieces 3 to 12, as in the 28B model (model spec, 1.4)."""
    texts = PROSE * 3 + CODE * 3 + list(random_strings(600, seed=3)) + ["a" * 9, "ab" * 8, "aab" * 7] * 20
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(line for text in texts for line in text.split("\n")), model_prefix=str(path.with_suffix("")), model_type="bpe", byte_fallback=True, split_digits=True,
        add_dummy_prefix=False, character_coverage=0.98, num_threads=1, minloglevel=2, **options,
    )
    path.with_suffix(".vocab").unlink()


def sentencepiece_fixtures():
    for name in ["", "-json", "-rules"]:
        (OUT / f"sentencepiece{name}").mkdir(parents=True, exist_ok=True)
    digits = list("0123456789")
    path = OUT / "sentencepiece/tokenizer.model"
    train_sentencepiece(
        path, vocab_size=1000, normalization_rule_name="identity", remove_extra_whitespaces=False, allow_whitespace_only_pieces=True,
        max_sentencepiece_length=24, user_defined_symbols=digits,
    )
    # As in the real model: digits, then bytes, then the rest; the last pieces frame conversations, and nothing joins to them.
    messages = import_protobuf().ModelProto
    proto = messages.FromString(path.read_bytes())
    kinds = messages.SentencePiece
    order = {kinds.UNKNOWN: 0, kinds.CONTROL: 0, kinds.USER_DEFINED: 1, kinds.BYTE: 2}
    pieces = sorted(proto.pieces, key=lambda piece: order.get(piece.type, 3))
    frames = [("<|end_of_sentence|>", kinds.CONTROL), ("<|begin_of_sentence|>", kinds.CONTROL), ("<think>", kinds.NORMAL), ("</think>", kinds.NORMAL)]
    pieces += [kinds(piece=text, score=-9999, type=kind) for text, kind in frames]
    del proto.pieces[:]
    proto.pieces.extend(pieces)
    path.write_bytes(proto.SerializeToString(deterministic=True))
    image = ["<|IMAGE_PLACEHOLDER|>", "<|IMAGE_START|>", "<|IMAGE_END|>"]
    first = len(pieces)
    added = {token: first + index for index, token in enumerate(image[:2])}
    (path.parent / "added_tokens.json").write_text(json.dumps(added) + "\n")
    decoder = {str(first + 2): {"content": image[2], "special": True}}
    (path.parent / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder, "bos_token": "<s>"}) + "\n")
    special = {"cls_token": "<|begin_of_sentence|>", "sep_token": {"content": "<|end_of_sentence|>"}, "additional_special_tokens": image}
    (path.parent / "special_tokens_map.json").write_text(json.dumps(special) + "\n")

    rules = OUT / "sentencepiece-rules/spm.model"
    tsv = rules.with_name("rules.tsv")
    pairs = {"ﬁ": "fi", "½": "1/2", "Ａ": "A", "Ａ１": "A1", "\u3000": " ", "\u00a0": " ", "e\u0301": "é", "\u200b": "", "…": "...", "¨": " ̈", "👍🏽": "👍"}
    hexes = lambda text: " ".join(f"{ord(c):X}" for c in text)
    tsv.write_text("".join(f"{hexes(old)}\t{hexes(new)}\n" for old, new in pairs.items()))
    train_sentencepiece(rules, vocab_size=700, normalization_rule_tsv=str(tsv), user_defined_symbols=[*digits, "½", "é", "▁▁"])
    tsv.unlink()

    converted = LlamaTokenizer.from_pretrained(path.parent, legacy=True, add_prefix_space=False, add_bos_token=False)
    converted.backend_tokenizer.save(str(OUT / "sentencepiece-json/tokenizer.json"), pretty=False)

    words = sorted({w for text in PROSE + CODE + HARD for w in [text, *text.split(" ")]} | set(pairs) | {"a", "ab", "aab", "  ", "▁"})
    spm, other = (sentencepiece.SentencePieceProcessor(model_file=str(file)) for file in [path, rules])
    tokenizer = Tokenizer.from_file(str(OUT / "sentencepiece-json/tokenizer.json"))
    texts = list(unicode_texts(words, 10_000))
    ids = [spm.encode(text) for text in texts]
    assert ids == [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    record = {"source": "scripts/make-chat-fixtures.py", "words": words, "ids": ids, "rules": [other.encode(text) for text in texts]}
    odd = {"source": "scripts/make-chat-fixtures.py", "models": list(odd_models(40))}
    for name, content in [("ids", record), ("odd", odd)]:
        packed = gzip.compress(json.dumps(content, separators=(",", ":")).encode(), mtime=0)
        (OUT / f"sentencepiece-{name}.json.gz").write_bytes(packed)


def odd_models(count, seed=5):
    """What decides between merges: scores that are equal, pieces with several spellings, characters that are no pieces."""
    rng = random.Random(seed)
    messages = import_protobuf().ModelProto
    for number in range(count):
        alphabet = "ab▁" if number % 2 else "abc▁é😀"
        pieces = {c: (-rng.randint(50, 99), 1) for c in alphabet if rng.random() < 0.8}
        for text in rng.sample(["a", "b", "▁", "▁▁", "é", "😀"], rng.choice([0, 0, 1, 2])):
            pieces.setdefault(text, (0, 4))
        for _ in range(rng.randint(3, 40)):
            pieces.setdefault("".join(rng.choices(alphabet, k=rng.randint(2, 6))), (-rng.randint(0, 12), 1))
        removes = rng.random() < 0.5
        proto = messages(
            pieces=[messages.SentencePiece(piece=t, score=s, type=k) for t, s, k in FIRST_PIECES + [(t, *v) for t, v in pieces.items()]],
            trainer_spec={"model_type": 2, "byte_fallback": True},
            normalizer_spec={"add_dummy_prefix": False, "remove_extra_whitespaces": removes},
        )
        spm = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
        texts = ["".join(rng.choices(alphabet.replace("▁", " ") + "▁x"[number % 3:], k=rng.randint(0, 40))) for _ in range(25)]
        yield {"pieces": [[t, *v] for t, v in pieces.items()], "removesExtraSpaces": removes, "texts": texts, "ids": [spm.encode(t) for t in texts]}


def unicode_texts(words, count):
    """The same texts as `unicodeTexts` in test/chat/sentencepiece.test.ts."""
    state = 1

    def pick(limit):
        nonlocal state
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        return state % limit

    for _ in range(count):
        text = ""
        for _ in range(1 + pick(8)):
            kind = pick(8)
            code_point = pick(0x110000 - 0x800 if kind == 0 else 0x3000 if kind == 1 else len(words))
            text += chr(code_point + (0x800 if code_point >= 0xD800 else 0)) if kind < 2 else words[code_point]
            if kind > 5:
                text += " "
        yield text


def write(path, source, cases):
    """One case a line, so that a change shows as the cases it changes."""
    lines = ",\n".join(json.dumps(case, ensure_ascii=True, separators=(",", ":")) for case in cases)
    path.write_text(f'{{"source": "{source}", "cases": [\n{lines}\n]}}\n')


def main(checkpoint, samples):
    (OUT / "nano").mkdir(parents=True, exist_ok=True)
    for name in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]:
        shutil.copyfile(checkpoint / name, OUT / "nano" / name)

    nano = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    fallback = byte_fallback_tokenizer()
    (OUT / "byte-fallback").mkdir(exist_ok=True)
    fallback.save(str(OUT / "byte-fallback/tokenizer.json"), pretty=False)
    texts = list(dict.fromkeys(PROSE + CODE + HARD + list(random_strings(300))))
    rows = [{"text": t, "nano": nano.encode(t).ids, "byteFallback": fallback.encode(t).ids} for t in texts]
    write(OUT / "token-ids.json", "scripts/make-chat-fixtures.py, Python tokenizers", rows)

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    processor = AutoImageProcessor.from_pretrained(checkpoint)
    prompts = []
    for sample in json.loads((samples / "samples.json").read_text()):
        if sample["is_video"] or sample["tools"]:
            continue
        pictures = [Image.open(samples / name).convert("RGB") for name in sample["images"]]
        grids = [processor(images=[picture])["image_grid_thw"][0].tolist() for picture in pictures]
        text = sample["prompt"]
        for _, rows, columns in grids:
            text = text.replace("<|IMAGE_PLACEHOLDER|>", "\0" * (rows * columns // 4), 1)
        ids = tokenizer(text.replace("\0", "<|IMAGE_PLACEHOLDER|>"), add_special_tokens=False)["input_ids"]
        prompts.append({
            "messages": sample["messages"], "thinking": sample["enable_thinking"], "prompt": sample["prompt"],
            "grids": [[rows, columns] for _, rows, columns in grids], "ids": ids,
        })
    write(OUT / "prompts.json", "scripts/make-chat-fixtures.py, Python transformers", prompts)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    sentencepiece_fixtures()
