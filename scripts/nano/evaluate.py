"""Accuracy per skill on fresh cases, through transformers alone.

    python scripts/nano/evaluate.py --model models/ernie-vl-nano --count 50
"""

import argparse
import random

import torch
from cases import SKILLS, draw_case, is_correct
from data.drawing import DEFAULT_FONT_DIR, use_fonts
from reference import Reference


def evaluate(reference, skill, think, count, seed):
    """Shares of correct and of ended answers to `count` fresh cases."""
    rng = random.Random(f"evaluation {seed} {skill} {think}")  # a text: training seeds are whole numbers
    correct = ended = 0
    for _ in range(count):
        case = draw_case(rng, skill)
        output = reference.answer(case, think)
        correct += is_correct(output.answer, case["expected"])
        ended += output.ended
    return correct / count, ended / count


def main():
    """Print a table row per skill."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/ernie-vl-nano", help="checkpoint folder")
    parser.add_argument("--skills", nargs="+", default=SKILLS, choices=SKILLS, metavar="SKILL", help=", ".join(SKILLS))
    parser.add_argument("--count", type=int, default=50, help="cases per skill, without and with thinking")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fonts", default=DEFAULT_FONT_DIR, help="folder of the DejaVu fonts")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    use_fonts(args.fonts)
    reference = Reference(args.model)
    print("| skill | cases | not thinking | thinking | ended (not thinking / thinking) |\n|---|---|---|---|---|")
    for skill in args.skills:
        (off, off_ended), (on, on_ended) = (evaluate(reference, skill, t, args.count, args.seed) for t in (False, True))
        print(f"| {skill} | {args.count} + {args.count} | {off:.1%} | {on:.1%} | {off_ended:.0%} / {on_ended:.0%} |", flush=True)


if __name__ == "__main__":
    main()
