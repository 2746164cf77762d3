"""Questions about pictures. Each maker returns a Question, or None when the picture does not allow it."""

from typing import NamedTuple

from .wording import (
    a_or_an, ask, capitalize, describe, fill, object_list, object_name, patterns, running_count, there_are,
    vary,
)
from .world import CHINESE, COLOUR_NAMES, SHAPES, ZONES

DESCRIBE = patterns("""
What is in this {p}?|What is in the {p}?|Describe the {p}.|Describe this {p}.|What do you see?|What can you see in the {p}?
What does this {p} show?|What's in this {p}?|What shapes are in the {p}?|List the objects in the {p}.|Tell me what you see.
Describe what you see.|What objects are in this {p}?|Please describe the {p}.|What is this?|What is shown in the {p}?
""")
COUNT = patterns("""
How many {x} are there?|How many {x} are in the {p}?|How many {x} do you see?|Count the {x}.|How many {x}?
What is the number of {x}?|How many {x} can you see in the {p}?|How many {x} does the {p} show?
""")
COLOUR = patterns("""
What colour is the {s}?|What is the colour of the {s}?|Which colour is the {s}?|What colour does the {s} have?
Tell me the colour of the {s}.
""")
SHAPE = patterns("""
What shape is {c}?|Which shape is {c}?|What is the {c} shape?|What is the shape of the {c} object?
What {c} shape is in the {p}?
""")
WHERE = patterns("""
Where is the {x}?|Where is the {x} in the {p}?|What is the position of the {x}?|In which part of the {p} is the {x}?
""")
IS_THERE = patterns("""
Is there {x}?|Is there {x} in the {p}?|Do you see {x}?|Does the {p} show {x}?|Can you see {x} in the {p}?
Does this {p} contain {x}?
""")
NUMBER = patterns("""
What number is shown?|What number is this?|What is the number in the {p}?|Read the number.|Which number is printed here?
What number do you see?|Which number is it?|Tell me the number.
""")
WORD = patterns("""
What word is shown?|What word is this?|Read the word.|What is the word in the {p}?|Which word is printed here?
What word do you see?|Tell me the word.
""")
READ = patterns("""
What does it say?|What does the {p} say?|Read the text.|What text is in the {p}?|What is written here?
What is written in the {p}?|Read the text in the {p}.|Read this.|What text do you see?|Transcribe the text.|OCR this {p}.
What is the text?
""")
MORE = patterns("""
Which picture has more {x}?|Which image has more {x}?|Where are there more {x}, in picture 1 or picture 2?
Which picture shows more {x}?|In which picture are there more {x}?
""")
VIDEO = ["What happens in the video?", "Describe the video.", "What is in this video?", "What do you see?"]
WHICH = patterns("""
Which picture has {x}?|Which picture shows {x}?|Which image contains {x}?|In which picture is there {x}?
""")
MOVE = patterns("""
In which direction does the {s} move?|Which way does the {s} move?|Where does the {s} move?|What is the direction of motion?
How does the {s} move?|Which way is the {s} moving?
""")
DESCRIBE_CHINESE = ["图中有什么？", "描述这张图片。", "你看到了什么？", "这张图里有什么？", "请描述图片"]


class Question(NamedTuple):
    """A question with its answer; `before` holds an earlier question and answer about the same picture."""

    skill: str
    text: str
    answer: str
    thought: str
    before: tuple = ()


def singles(objects, key):
    """The objects that no other object shares this property with."""
    values = [o[key] for o in objects]
    return [o for o in objects if values.count(o[key]) == 1]


def i_see(objects):
    """The thought of a description."""
    if not objects:
        return "I see 0 objects."
    return f"I see {len(objects)} object{'s' * (len(objects) > 1)}: {object_list(objects)}."


def ask_describe(rng, scene):
    """What is in the picture?"""
    objects = scene["objects"]
    if objects and rng.random() < 0.06:
        answer = "、".join("一个" + CHINESE[o["colour"]] + "的" + CHINESE[o["shape"]] for o in objects) + "。"
        return Question("describe_cn", rng.choice(DESCRIBE_CHINESE), answer, i_see(objects))
    return Question("describe", ask(rng, DESCRIBE), describe(objects), i_see(objects))


def ask_count(rng, scene):
    """How many of a shape, of a colour, of both, or of all?"""
    objects = scene["objects"]
    mode = rng.choices(["shape", "colour", "both", "all"], [4, 3, 3, 2])[0]
    target = rng.choice(objects) if objects and rng.random() < 0.75 else None
    shape = target["shape"] if target else rng.choice(SHAPES)
    colour = target["colour"] if target else rng.choice(COLOUR_NAMES)
    if mode == "shape":
        thing, hit = shape, lambda o: o["shape"] == shape
    elif mode == "colour":
        thing, hit = colour + " " + rng.choice(["shape", "object"]), lambda o: o["colour"] == colour
    elif mode == "both":
        thing, hit = colour + " " + shape, lambda o: o["shape"] == shape and o["colour"] == colour
    else:
        thing, hit = rng.choice(["shape", "object"]), lambda o: True
    count, thought = sum(map(hit, objects)), running_count(objects, hit)
    if rng.random() < 0.05 and mode in ("shape", "both"):
        chinese = (CHINESE[colour] + "的" if mode == "both" else "") + CHINESE[shape]
        return Question("count_cn", rng.choice([f"有几个{chinese}？", f"图中有多少个{chinese}？"]), f"{count}个。", thought)
    return Question("count", ask(rng, COUNT, x=thing + "s"), there_are(count, thing), thought)


def ask_colour(rng, scene):
    """What colour is the circle?"""
    candidates = singles(scene["objects"], "shape")
    if not candidates:
        return None
    o = rng.choice(candidates)
    if len(scene["objects"]) == 1 and rng.random() < 0.3:
        text = ask(rng, ["What colour is it?", "What colour is the shape?", "Which colour do you see?"])
        return Question("attribute", text, f"It is {o['colour']}.", f"I see a {object_name(o)}.")
    answer = f"The {o['shape']} is {o['colour']}."
    return Question("attribute", ask(rng, COLOUR, s=o["shape"]), answer, f"I see {a_or_an(object_name(o))}.")


def ask_shape(rng, scene):
    """What shape is red?"""
    candidates = singles(scene["objects"], "colour")
    if not candidates:
        return None
    o = rng.choice(candidates)
    answer = f"The {o['colour']} shape is a {o['shape']}."
    return Question("attribute", ask(rng, SHAPE, c=o["colour"]), answer, f"I see {a_or_an(object_name(o))}.")


def ask_where(rng, scene):
    """Where is the red circle?"""
    objects = scene["objects"]
    candidates = [o for o in objects if o["clear"] and sum(object_name(p) == object_name(o) for p in objects) == 1]
    if not candidates:
        return None
    o = rng.choice(candidates)
    shape_is_enough = o in singles(objects, "shape")
    thing = o["shape"] if shape_is_enough and rng.random() < 0.4 else object_name(o)
    zone = ZONES[o["zone"]]
    thought = f"I look for the {thing}. It is {zone}."
    return Question("position", ask(rng, WHERE, x=thing), f"The {thing} is {zone}.", thought)


def ask_yes_no(rng, scene):
    """Is there a circle? Is there a red circle? Is the circle red? The wrong ones are often nearly right."""
    objects = scene["objects"]
    r = rng.random()
    if r >= 0.75:
        return ask_is_it(rng, objects)
    yes = bool(objects) and rng.random() < 0.5
    shape, colour = something_there(rng, objects, r < 0.3) if yes else something_else(rng, objects, r < 0.3)
    if shape is None:
        return None
    thing = f"{colour} {shape}" if colour else shape
    thought = running_count(objects, lambda o: o["shape"] == shape and colour in (None, o["colour"]))
    answer = f"Yes, there is {a_or_an(thing)}." if yes else f"No, there is no {thing}."
    return Question("yesno", ask(rng, IS_THERE, x=a_or_an(thing)), answer, thought)


def something_there(rng, objects, only_shape):
    """A shape that is in the picture, and its colour unless only the shape is asked for."""
    if only_shape:
        return rng.choice(sorted({o["shape"] for o in objects})), None
    return rng.choice(sorted({(o["shape"], o["colour"]) for o in objects}))


def something_else(rng, objects, only_shape):
    """A shape (and colour) that is not in the picture, (None, None) if there is none; shape or colour often occur."""
    shapes, colours = sorted({o["shape"] for o in objects}), sorted({o["colour"] for o in objects})
    if only_shape:
        return rng.choice([s for s in SHAPES if s not in shapes] or [None]), None
    for _ in range(40):
        shape = rng.choice(shapes) if shapes and rng.random() < 0.6 else rng.choice(SHAPES)
        colour = rng.choice(colours) if colours and rng.random() < 0.6 else rng.choice(COLOUR_NAMES)
        if not any(o["shape"] == shape and o["colour"] == colour for o in objects):
            return shape, colour
    return None, None


def ask_is_it(rng, objects):
    """Is the circle red?"""
    candidates = singles(objects, "shape")
    if not candidates:
        return None
    o = rng.choice(candidates)
    yes = rng.random() < 0.5
    colour = o["colour"] if yes else rng.choice([c for c in COLOUR_NAMES if c != o["colour"]])
    text = fill(rng, "Is the {s} {c}?", s=o["shape"], c=colour)
    answer = f"{'Yes' if yes else 'No'}, the {o['shape']} is {o['colour']}."
    return Question("yesno", text, answer, f"I see {a_or_an(object_name(o))}.")


def ask_read(rng, scene):
    """What number, what word, what text?"""
    text, is_number = scene["text"], scene["is_number"]
    thought = "The characters are: " + ", ".join(text) + "."
    r = rng.random()
    if r < 0.05:
        number, word = ["图中的数字是什么？", "读出数字。"], ["图中的单词是什么？", "读出文字。"]
        answer = f"数字是 {text}。" if is_number else f'文字是 "{text}"。'
        return Question("read_cn", rng.choice(number if is_number else word), answer, thought)
    question = ask(rng, READ if r < 0.4 else DESCRIBE if r < 0.5 else NUMBER if is_number else WORD)
    if is_number:
        return Question("read_number", question, f"The number is {text}.", thought)
    return Question("read_word", question, f'The word is "{text}".', thought)


# ---------------------------------------------------------------- a second question about the same picture
FIRST_SHAPE = ["What shape is it?", "What shape is this?", "What shape is in the picture?", "Which shape do you see?"]
AND_COLOUR = ["And what colour is it?", "What colour is it?", "And the colour?"]
AND_WHERE = ["And where is it?", "Where is it?"]


def ask_follow_up(rng, scene):
    """A question with an earlier one before it."""
    objects = scene["objects"]
    kind = rng.choice(["one", "colour", "count", "where"])
    if kind == "one" and len(objects) == 1:
        return follow_up_one(rng, objects[0])
    if kind == "count" and objects:
        first, first_answer, _ = simple_count(rng, objects)
        second, answer, thought = simple_count(rng, objects)
        before = (f"How many {first}s are there?", first_answer)
        return Question("followup", rng.choice([f"And how many {second}s?", f"And {second}s?"]), answer, thought, before)
    candidates = [o for o in singles(objects, "shape") if o["clear"] or kind != "where"]
    if not candidates:
        return None
    o = rng.choice(candidates)
    before = (f"Is there {a_or_an(o['shape'])}?", f"Yes, there is {a_or_an(o['shape'])}.")
    return (follow_up_where if kind == "where" else follow_up_colour)(rng, o, before)


def follow_up_one(rng, o):
    """First the shape of the only object, then its colour or place."""
    before = (rng.choice(FIRST_SHAPE), capitalize(a_or_an(o["shape"])) + ".")
    if rng.random() < 0.6:
        return follow_up_colour(rng, o, before, [*AND_COLOUR, "And which colour is it?"])
    return follow_up_where(rng, o, before)


def follow_up_colour(rng, o, before, questions=AND_COLOUR):
    """And what colour is it?"""
    thought = f"I see {a_or_an(object_name(o))}."
    return Question("followup", rng.choice(questions), f"It is {o['colour']}.", thought, before)


def follow_up_where(rng, o, before):
    """And where is it?"""
    answer = f"It is {ZONES[o['zone']]}."
    return Question("followup", rng.choice(AND_WHERE), answer, f"I look for the {object_name(o)}. {answer}", before)


def simple_count(rng, objects):
    """A shape, how many there are, and the thought behind it."""
    shape = rng.choice([o["shape"] for o in objects]) if rng.random() < 0.7 else rng.choice(SHAPES)
    count = sum(o["shape"] == shape for o in objects)
    return shape, there_are(count, shape), running_count(objects, lambda o: o["shape"] == shape)


# ---------------------------------------------------------------- two pictures, video
def ask_compare(rng, first, second):
    """Which of two pictures has more of something, or something; or what one of them shows."""
    pair = first["objects"], second["objects"]
    r = rng.random()
    if r < 0.6:
        return compare_counts(rng, *pair)
    names = [{object_name(o) for o in objects} for objects in pair]
    only_in_one = [(x, 1) for x in sorted(names[0] - names[1])] + [(x, 2) for x in sorted(names[1] - names[0])]
    if r < 0.85 and only_in_one:
        thing, number = rng.choice(only_in_one)
        thought = " ".join(f"Picture {i}: {object_list(objects) or 'empty'}." for i, objects in enumerate(pair, 1))
        thing = a_or_an(thing)
        return Question("compare", vary(rng, rng.choice(WHICH).format(x=thing)), f"Picture {number} has {thing}.", thought)
    number = rng.choice([1, 2])
    objects = pair[number - 1]
    text = rng.choice(["What is in picture {k}?", "Describe picture {k}.", "What does picture {k} show?"]).format(k=number)
    thought = f"I look at picture {number}: {object_list(objects) or 'empty'}."
    return Question("compare", vary(rng, text), describe(objects), thought)


def compare_counts(rng, first, second):
    """Which picture has more circles?"""
    if rng.random() < 0.75:
        shape = rng.choice([o["shape"] for o in first + second] or SHAPES)
        things = shape + "s"
        a, b = (sum(o["shape"] == shape for o in objects) for objects in (first, second))
    else:
        things, a, b = rng.choice(["shapes", "objects"]), len(first), len(second)
    text = vary(rng, rng.choice(MORE).format(x=things))
    same = f"Both pictures have the same number of {things}."
    answer = same if a == b else f"Picture {1 if a > b else 2} has more {things}."
    return Question("compare", text, answer, f"Picture 1: {a} {things}. Picture 2: {b} {things}.")


def ask_video(rng, scene):
    """Which way does the shape move, or what does the video show; both have the same answer."""
    answer = f"The {object_name(scene)} moves {scene['move']}."
    if rng.random() < 0.7:
        text = rng.choice(MOVE)
        text = text.format(s=rng.choice([scene["shape"], "shape", "object"]))
    else:
        text = rng.choice(VIDEO)
    return Question("video", vary(rng, text), answer, answer)
