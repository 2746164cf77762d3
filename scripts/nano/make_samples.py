"""Make the golden cases of a checkpoint: one fresh case per skill that the model answers as expected, and its output.

    python scripts/nano/make_samples.py --model models/ernie-vl-nano
"""

import argparse
import json
import random
from pathlib import Path

import torch
from cases import draw_case, is_correct
from data.drawing import DEFAULT_FONT_DIR, use_fonts
from reference import Reference

# (skill, thinking), in the order of the files.
WANTED = [
    ("describe", False), ("describe", True), ("read_number", False), ("read_word", False), ("read_word", True),
    ("count", False), ("count", True), ("yesno", False), ("attribute", False), ("compare", False), ("compare", True),
    ("position", False), ("followup", False), ("video", False), ("chat", False), ("add", True), ("add", False),
    ("repeat", False), ("capital", False), ("capital2", False), ("tool_call", False), ("tool_answer", False),
]
ATTEMPTS = 14


def golden_case(reference, rng, skill, think):
    """The first case that the model gets right, else the last one tried; and the model's output."""
    for _ in range(ATTEMPTS):
        case = draw_case(rng, skill)
        output = reference.answer(case, think)
        if is_correct(output.answer, case["expected"]) and output.ended:
            break
    return case, output


def main():
    """Write samples/samples.json and its pictures into the checkpoint folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/ernie-vl-nano", help="checkpoint folder; its samples/ is replaced")
    parser.add_argument("--fonts", default=DEFAULT_FONT_DIR, help="folder of the DejaVu fonts")
    args = parser.parse_args()
    torch.set_num_threads(1)
    use_fonts(args.fonts)
    reference = Reference(args.model)
    folder = Path(args.model) / "samples"
    folder.mkdir(exist_ok=True)
    for picture in folder.glob("*.png"):
        picture.unlink()
    samples, picture_count = [], 0
    for number, (skill, think) in enumerate(WANTED):
        case, output = golden_case(reference, random.Random(4242 + number), skill, think)
        names = []
        for image in case["frames"] or case["images"]:
            picture_count += 1
            names.append(f"{picture_count:02d}_{skill}{'_think' if think else ''}.png")
            image.save(folder / names[-1])
        samples.append(dict(
            skill=skill, images=names, is_video=bool(case["frames"]), messages=case["messages"], tools=case["tools"],
            enable_thinking=think, prompt=reference.prompt(case, think), expected=case["expected"], hf_output=output.text,
            hf_answer=output.answer, ended=output.ended, correct=is_correct(output.answer, case["expected"]),
        ))
    (folder / "samples.json").write_text(json.dumps(samples, ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
