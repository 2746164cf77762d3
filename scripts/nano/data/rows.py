"""Rows, the units of training: one shared prefix (pictures included) and branches that continue it.

A branch is a question with its answer. All branches of a row see the prefix but not each other, so a picture is encoded once
for several questions.
"""

import numpy as np

from .chat import BOS, EOS, completion, generation_prompt, picture, video
from .patches import pack_picture
from .picture_questions import (
    ask_colour, ask_compare, ask_count, ask_describe, ask_follow_up, ask_read, ask_shape, ask_video, ask_where, ask_yes_no,
)
from .scenes import shape_scene, text_scene, video_scene
from .text_questions import ask_capital, ask_chat, ask_repeat, ask_sum, ask_tool
from .world import COLOUR_NAMES, SHAPES, SYSTEM_PROMPTS

SHAPE_QUESTIONS = [ask_describe, ask_count, ask_colour, ask_shape, ask_where, ask_yes_no, ask_follow_up]
SHAPE_QUESTION_WEIGHTS = [4, 12, 4, 3, 6, 10, 4]


def make_branch(prompt, question, think):
    """A branch: the text before the answer, the text to learn, and what evaluation needs to know."""
    target = completion(question.answer, question.thought if think else None)
    prompt += generation_prompt(think)
    return dict(prompt=prompt, target=target, skill=question.skill, think=think, answer=question.answer)


def picture_branch(question, think):
    """A branch about the pictures of the prefix; `turns` are the texts of user and assistant in order."""
    if not question.before:
        return make_branch(question.text, question, think) | dict(turns=[question.text])
    first, first_answer = question.before
    prompt = f"{first}\nAssistant: {first_answer}{EOS}User: {question.text}"
    return make_branch(prompt, question, think) | dict(turns=[first, first_answer, question.text])


def picture_row(rng, branch_count=3, held_out=False, think_share=0.35, kind=None, text_first=True):
    """One picture and different questions about it; with a single question, sometimes the text comes first if allowed."""
    kind = kind or rng.choices(["shapes", "text"], [6, 4])[0]
    scene = shape_scene(rng) if kind == "shapes" else text_scene(rng, held_out)
    system = random_system(rng, 0.12)
    head = BOS + (system + "\n" if system else "") + "User: "
    branches, seen = [], set()
    while len(branches) < branch_count:
        think = rng.random() < think_share
        question = ask_read(rng, scene) if kind == "text" else ask_about_shapes(rng, scene)
        if question is None:
            continue
        if not question.before:  # a second question may be asked twice
            if (question.text, think) in seen:
                continue
            seen.add((question.text, think))
        branches.append(picture_branch(question, think))
    prefix = head + picture(1)
    if branch_count == 1 and rng.random() < 0.3 and text_first and len(branches[0]["turns"]) == 1:
        prefix = head + branches[0]["turns"][0] + picture(1)
        branches[0]["prompt"] = generation_prompt(branches[0]["think"])
    media = [pack_picture(scene["image"], scene["marks"])]
    return dict(media=media, prefix=prefix, branches=branches, system=system, images=[scene["image"]])


def ask_about_shapes(rng, scene):
    """A question of random kind; pictures of five objects are not described."""
    weights = [4 if len(scene["objects"]) < 5 else 0, *SHAPE_QUESTION_WEIGHTS[1:]]
    return rng.choices(SHAPE_QUESTIONS, weights)[0](rng, scene)


def pair_row(rng, branch_count=3, think_share=0.35):
    """Two pictures, often of the same few kinds of objects, and questions that compare them."""
    kinds = None
    if rng.random() < 0.7:
        kinds = [(s, c) for s in rng.sample(SHAPES, 2) for c in rng.sample(COLOUR_NAMES, 2)]
    scenes = [shape_scene(rng, rng.choices([0, 1, 2, 3, 4], [1, 5, 6, 4, 2])[0], kinds) for _ in range(2)]
    branches = []
    for _ in range(branch_count):
        think = rng.random() < think_share
        branches.append(picture_branch(ask_compare(rng, *scenes), think))
    media = [pack_picture(s["image"], s["marks"]) for s in scenes]
    prefix = BOS + "User: " + picture(1) + picture(2)
    return dict(media=media, prefix=prefix, branches=branches, system="", images=[s["image"] for s in scenes])


def video_row(rng, branch_count=2, think_share=0.3):
    """A video of four frames and questions about it."""
    scene = video_scene(rng)
    frames = [pack_picture(frame, marks) for frame, marks in zip(scene["frames"], scene["marks"])]
    _, rows, columns = frames[0]["grid"]
    media = dict(
        patches=np.concatenate([f["patches"] for f in frames]),
        grid=(len(frames), rows, columns),
        labels=np.concatenate([f["labels"] for f in frames]),
    )
    branches = []
    for _ in range(branch_count):
        question = ask_video(rng, scene)
        branches.append(picture_branch(question, rng.random() < think_share))
    prefix = BOS + "User: " + video(1)
    return dict(media=[media], prefix=prefix, branches=branches, system="", images=[], frames=scene["frames"])


def text_branch(rng, think_share=0.4, kind=None, held_out=False):
    """One conversation without pictures, with its own start token; also as messages."""
    think = rng.random() < think_share
    if kind is None:
        kind = rng.choices(["add", "chat", "repeat", "capital", "tool"], [15, 2, 6, 1.5, 6])[0]
        if kind == "add" and think and rng.random() < 0.3:
            think = False  # sums without steps need more practice
    if kind == "tool":
        q = ask_tool(rng)
        system, prompt, messages, tools = random_system(rng, 0.2), q.head + q.dialogue, q.messages, q.tools
    else:
        q = ask_text(rng, kind, held_out)
        system, tools = random_system(rng, 0.12), None
        prompt = "".join(f"User: {x}\nAssistant: {y}{EOS}" for x, y in q.history) + "User: " + q.text
        messages = [m for x, y in q.history for m in (dict(role="user", content=x), dict(role="assistant", content=y))]
        messages.append(dict(role="user", content=q.text))
    head = BOS + (system + "\n" if system else "")
    return make_branch(head + prompt, q, think) | dict(messages=messages, tools=tools, system=system)


def ask_text(rng, kind, held_out):
    """A text question of this kind; only sums and repeating have held-out cases."""
    if kind == "add":
        return ask_sum(rng, held_out)
    if kind == "repeat":
        return ask_repeat(rng, held_out)
    return ask_chat(rng) if kind == "chat" else ask_capital(rng)


def random_system(rng, share):
    """A system prompt for this share of the conversations, else an empty text."""
    return rng.choice(SYSTEM_PROMPTS) if rng.random() < share else ""


def text_row(rng, branch_count=4, think_share=0.4):
    """Several conversations without pictures; they share nothing but the row."""
    return dict(media=[], prefix="", branches=[text_branch(rng, think_share) for _ in range(branch_count)])
