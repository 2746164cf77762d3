"""Compare the training forward with transformers on a checkpoint, both in fp32.

    python scripts/nano/check_forward.py --model models/ernie-vl-nano
"""

import argparse
import random

import torch
from data import rows
from reference import Reference
from tokenizers import Tokenizer
from training.collate import Collator
from training.forward import FastForward

MAKERS = dict(picture=rows.picture_row, pair=rows.pair_row, video=rows.video_row, text=rows.text_row)


@torch.no_grad()
def logit_difference(reference, forward, collate, row):
    """The largest absolute difference of any logit of a row."""
    batch = collate([row])
    n = batch.token_count
    fast = forward.logits(forward(batch).tokens)[:n]
    ids = batch.ids[None, :n]
    inputs = dict(input_ids=ids) | reference.token_types(ids)
    if batch.media is not None:
        pixels = batch.media.pixels[: batch.media.patch_count]
        grids = torch.tensor([item["grid"] for item in row["media"]])
        video = dict(pixel_values_videos=pixels, video_grid_thw=grids)
        inputs |= video if "frames" in row else dict(pixel_values=pixels, image_grid_thw=grids)
    reference.model.model.rope_deltas = None
    return (reference.model(**inputs).logits[0] - fast).abs().max().item()


def main():
    """Print the largest difference per kind of row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/ernie-vl-nano", help="checkpoint folder")
    parser.add_argument("--rows", type=int, default=8, help="rows per kind")
    args = parser.parse_args()
    reference = Reference(args.model)
    forward = FastForward(reference.model, torch.float32)
    collate = Collator(Tokenizer.from_file(f"{args.model}/tokenizer.json"))
    rng = random.Random(5)
    for kind, make_row in MAKERS.items():
        worst = max(logit_difference(reference, forward, collate, make_row(rng, 1)) for _ in range(args.rows))
        print(f"{kind}: largest logit difference {worst:.1e}")


if __name__ == "__main__":
    main()
