"""Make the fixed evaluation set: questions, pictures, expected answers and what transformers answers.

    python scripts/nano/make_eval_set.py --model models/ernie-vl-nano --out test/fixtures/nano/eval
"""

import argparse
import json
import random
import shutil
from pathlib import Path

import torch
import transformers
from cases import READ_SKILLS, SHAPE_SKILLS, draw_case, is_correct, picture_case, picture_row
from data.drawing import DEFAULT_FONT_DIR, use_fonts
from reference import Reference

# A text as seed: training uses whole numbers, so it can never have drawn the same rows.
SEED = "nano evaluation set"
TEXT_SKILLS = ["chat", "add", "repeat", "capital", "capital2"]

# How many of the questions about a picture are used: fewer means more different pictures and a larger folder.
USE_SHARE = 0.4


def pictures_with_questions(rng, kind, skills, count):
    """`count` cases of every skill; a picture serves several skills, chosen independently of each other."""
    found = {skill: [] for skill in skills}
    while any(len(cases) < count for cases in found.values()):
        row = picture_row(rng, kind, branch_count=12)
        for skill, branch in {b["skill"]: b for b in row["branches"]}.items():
            if rng.random() < USE_SHARE and len(found[skill]) < count:
                found[skill].append(picture_case(row, branch))
    return [case for cases in found.values() for case in cases]


def distinct_cases(rng, skill, count):
    """`count` cases of a skill with different messages."""
    cases = []
    while len(cases) < count:
        case = draw_case(rng, skill)
        if all(case["messages"] != other["messages"] for other in cases if not case["images"]):
            cases.append(case)
    return cases


def draw_cases(count):
    """All cases, skill by skill."""
    rng = random.Random(SEED)
    cases = pictures_with_questions(rng, "shapes", SHAPE_SKILLS, count)
    cases += pictures_with_questions(rng, "text", READ_SKILLS, count)
    for skill in ["compare", *TEXT_SKILLS]:
        cases += distinct_cases(rng, skill, count)
    return cases


def save_pictures(cases, folder):
    """Write each picture once; returns the path of a picture inside the folder by its id()."""
    shutil.rmtree(folder / "pictures", ignore_errors=True)
    (folder / "pictures").mkdir(parents=True)
    names = {}
    for image in (image for case in cases for image in case["images"]):
        if id(image) not in names:
            names[id(image)] = f"pictures/{len(names):03d}.png"
            image.save(folder / names[id(image)], optimize=True)
    return names


def answer_case(case, names, reference):
    """A case as cases.json holds it, and what transformers answers without and with thinking."""
    outputs = [reference.answer(case, think) for think in (False, True)]
    for output in outputs:
        if not output.ended:
            raise SystemExit(f"expected an end token within 160 tokens, got {output.text!r}; choose another SEED")
    entry = dict(
        skill=case["skill"],
        images=[names[id(image)] for image in case["images"]],
        messages=case["messages"],
        expected=case["expected"],
        hf_output_off=outputs[0].text,
        hf_output_on=outputs[1].text,
    )
    return entry, outputs


def print_accuracy(entries, outputs):
    """The numbers for the README of the evaluation set."""
    print("| skill | cases | thinking off | thinking on |\n|---|---|---|---|")
    skills = list(dict.fromkeys(e["skill"] for e in entries))
    for name, chosen in [(s, [s]) for s in skills] + [("**all**", skills)]:
        rows = [[is_correct(o.answer, e["expected"]) for o in pair] for e, pair in zip(entries, outputs) if e["skill"] in chosen]
        off, on = (100 * sum(column) / len(rows) for column in zip(*rows))
        print(f"| {name} | {len(rows)} | {off:.1f} % | {on:.1f} % |")
    print(f"\nsmallest distance of the best logit from the second best: {min(o.margin for p in outputs for o in p):.4f}")


def main():
    """Draw the cases, write the pictures, ask transformers, write cases.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default="models/ernie-vl-nano", help="checkpoint folder")
    parser.add_argument("--out", type=Path, default="test/fixtures/nano/eval", help="its pictures and cases.json are replaced")
    parser.add_argument("--count", type=int, default=26, help="cases per skill")
    parser.add_argument("--fonts", default=DEFAULT_FONT_DIR, help="folder of the DejaVu fonts")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    use_fonts(args.fonts)
    reference = Reference(args.model)
    cases = draw_cases(args.count)
    names = save_pictures(cases, args.out)
    entries, outputs = zip(*(answer_case(case, names, reference) for case in cases))
    source = f"scripts/nano/make_eval_set.py, transformers {transformers.__version__}, torch {torch.__version__}, fp32, greedy"
    document = json.dumps(dict(source=source, cases=entries), ensure_ascii=False, indent=1)
    (args.out / "cases.json").write_text(document + "\n", encoding="utf-8")
    print_accuracy(entries, outputs)


if __name__ == "__main__":
    main()
