"""What one training step sees: pictures, pairs, texts and dense pictures in a mix that changes over time."""

from typing import NamedTuple

from data import rows, scenes


class Mix(NamedTuple):
    """How many rows of each kind one step has; `questions` are those per picture of shapes."""

    shapes: int
    text: int
    single: int  # pictures with one question, where the text may come first
    pair: int
    chat: int  # conversations without pictures
    dense: int
    questions: int


LEARN_TO_SEE = Mix(shapes=4, text=3, single=0, pair=1, chat=5, dense=28, questions=3)
MIDDLE = Mix(shapes=9, text=7, single=2, pair=3, chat=26, dense=4, questions=5)
FINAL = Mix(shapes=8, text=8, single=2, pair=2, chat=22, dense=1, questions=7)

LEARN_TO_SEE_STEPS, MIDDLE_STEPS = 850, 2300  # the step at which each ends


def mix_at(step):
    """The mix of a step and the weight of the dense losses."""
    if step < LEARN_TO_SEE_STEPS:
        return LEARN_TO_SEE, 0.6
    if step < MIDDLE_STEPS:
        return MIDDLE, 0.3
    return FINAL, 0.2


def make_batch(rng, mix):
    """Rows and dense pictures, about 2500 language tokens."""
    batch = [rows.picture_row(rng, mix.questions, kind="shapes") for _ in range(mix.shapes)]
    batch += [rows.picture_row(rng, 2, kind="text") for _ in range(mix.text)]
    batch += [rows.picture_row(rng, 1) for _ in range(mix.single)]
    batch += [rows.pair_row(rng, 5) for _ in range(mix.pair)]
    dense = [scenes.dense_picture(rng) for _ in range(mix.dense)]
    return batch + pack_conversations(rng, mix.chat), dense


def pack_conversations(rng, count, character_limit=480):
    """Rows of conversations, filled up to about this many characters each."""
    packs, size = [[]], 0
    for _ in range(count):
        branch = rows.text_branch(rng)
        length = len(branch["prompt"]) + len(branch["target"])
        if packs[-1] and size + length > character_limit:
            packs.append([])
            size = 0
        packs[-1].append(branch)
        size += length
    return [dict(media=[], prefix="", branches=pack) for pack in packs]
