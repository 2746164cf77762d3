"""Pictures with known contents. A scene is a dictionary: the image, what it shows, and marks (points with dense labels)."""

import math

from PIL import ImageDraw

from .drawing import (
    add_noise, canvas, colour_distance, draw_objects, draw_shape, font, jitter, random_font_name, random_ink, random_size,
    readable,
)
from .patches import RANK_COUNT, char_label, object_label, pack_picture, shrink_factor, zone_of
from .world import CHARS, COLOUR_NAMES, COLOURS, HELD_OUT_WORDS, MOVES, SHAPES, WORDS


# ---------------------------------------------------------------- shapes
def shape_scene(rng, count=None, kinds=None):
    """A picture of up to `count` shapes; its objects are sorted from left to right. `kinds` limits (shape, colour)."""
    w, h, count = scene_size(rng, count)
    kinds = kinds or random_kinds(rng)
    picks = [rng.choice(kinds) for _ in range(count)]
    rgb = {c: jitter(rng, rng.choice(COLOURS[c])) if rng.random() < 0.6 else COLOURS[c][0] for c in COLOUR_NAMES}
    image, background = canvas(rng, w, h, [rgb[c] for _, c in picks])
    picks = [(s, c) for s, c in picks if colour_distance(rgb[c], background) > 75]
    objects = sorted(place_objects(rng, picks, w, h, count), key=lambda o: o["x"])
    image = draw_objects(image, objects, rgb, smooth=rng.random() < 0.4)
    add_labels(objects)
    return dict(image=add_noise(rng, image), objects=objects, marks=objects)


def scene_size(rng, count):
    """Width, height and number of objects; pictures of many objects are not too small."""
    w, h = random_size(rng)
    if count is None:
        count = rng.choices([0, 1, 2, 3, 4, 5], [2, 24, 32, 22, 13, 7])[0]
    if count >= 4 and w * h < 100 * 100:
        w, h = rng.randint(100, 190), rng.randint(100, 190)
    elif count >= 3 and w * h < 80 * 80:
        w, h = rng.randint(80, 170), rng.randint(80, 170)
    return w, h, count


def random_kinds(rng):
    """The (shape, colour) pairs to choose from; often only a few, so that objects of a picture share shape or colour."""
    colours = rng.sample(COLOUR_NAMES, rng.choice([1, 2, 3, 4])) if rng.random() < 0.6 else COLOUR_NAMES
    shapes = rng.sample(SHAPES, rng.choice([1, 2, 3])) if rng.random() < 0.6 else SHAPES
    return [(s, c) for s in shapes for c in colours]


def place_objects(rng, picks, w, h, count):
    """Objects without overlap and clearly ordered from left to right; what finds no place in 60 attempts is left out."""
    shrink = shrink_factor(w, h)
    r_min = 8.0 / shrink  # 8 px after resizing
    r_max = max(r_min + 2, min(w, h) * (0.45 if count == 1 else 0.30 if count <= 3 else 0.2))
    same_r = rng.uniform(r_min, r_max) if rng.random() < 0.3 else None
    gap = max(5 / shrink, 3)
    objects = []
    for shape, colour in picks:
        for attempt in range(60):  # smaller and smaller
            top = r_max if attempt < 20 else r_min + (r_max - r_min) * 0.35 if attempt < 40 else r_min + 1
            r = min(same_r, top) if same_r else rng.uniform(r_min, top)
            if 2 * r + 2 > min(w, h):
                continue
            x, y = rng.uniform(r + 1, w - r - 1), rng.uniform(r + 1, h - r - 1)
            if all(math.hypot(x - o["x"], y - o["y"]) > r + o["r"] + 2 and abs(x - o["x"]) > gap for o in objects):
                zone, clear = zone_of(x, y, w, h)
                objects.append(dict(shape=shape, colour=colour, x=x, y=y, r=r, zone=zone, clear=clear))
                break
    return objects


def add_labels(objects):
    """Give every object its dense label; `objects` is sorted from left to right."""
    for i, o in enumerate(objects):
        left = objects[:i]
        same_shape = [p for p in left if p["shape"] == o["shape"]]
        same_colour = [p for p in left if p["colour"] == o["colour"]]
        same_both = [p for p in same_shape if p["colour"] == o["colour"]]
        ranks = min(i, RANK_COUNT - 1), len(same_shape), len(same_colour), len(same_both)
        o["label"] = object_label(o["shape"], o["colour"], ranks, o["zone"])


# ---------------------------------------------------------------- text
def text_scene(rng, held_out=False):
    """A picture of one printed number or upper-case word."""
    text, is_number = random_text(rng, held_out)
    w, h, text_font = fitting_font(rng, text)
    x0, y0, x1, y1 = text_font.getbbox(text)
    ink = random_ink(rng, black_count=4)
    image, background = canvas(rng, w, h, [ink])
    ink = readable(ink, background)
    if rng.random() < 0.3:  # centred
        x, y = (w - x1 - x0) // 2, (h - y1 - y0) // 2
    else:
        x, y = rng.randint(2 - x0, w - x1 - 2), rng.randint(2 - y0, h - y1 - 2)
    ImageDraw.Draw(image).text((x, y), text, fill=ink, font=text_font)
    marks = []
    for i, char in enumerate(text):
        centre = x + (text_font.getlength(text[:i]) + text_font.getlength(text[: i + 1])) / 2
        marks.append(dict(x=centre, y=y + (y0 + y1) / 2, label=char_label(char, min(i, RANK_COUNT - 1))))
    return dict(image=add_noise(rng, image), text=text, is_number=is_number, marks=marks)


def random_text(rng, held_out):
    """A number of 1-4 digits, random capitals or a word; and whether it is a number."""
    if rng.random() < 0.5:
        n = rng.choices([1, 2, 3, 4], [1, 2, 3, 3])[0]
        return str(rng.randint(0 if n == 1 else 10 ** (n - 1), 10**n - 1)), True
    if held_out:
        return rng.choice(HELD_OUT_WORDS), False
    if rng.random() < 0.55:
        return "".join(rng.choice(CHARS[10:]) for _ in range(rng.choices([2, 3, 4, 5], [2, 3, 3, 1])[0])), False
    while True:
        word = rng.choice(WORDS)
        if word not in HELD_OUT_WORDS:
            return word, False


def fitting_font(rng, text):
    """A picture size and a font in which the text fits; at least 24 px after resizing, mostly not much more."""
    while True:
        w, h = random_size(rng)
        shrink = shrink_factor(w, h)
        name = random_font_name(rng)
        low = math.ceil(24 / shrink)
        high = int(min(h * 0.9, 2.2 * w / max(1, len(text)), 72 / shrink))
        if high < low:
            continue
        size = rng.randint(low, high) if rng.random() < 0.4 else rng.randint(low, max(low, min(high, int(low * 2.2))))
        x0, y0, x1, y1 = font(name, size).getbbox(text)
        if x1 - x0 + 6 <= w and y1 - y0 + 6 <= h:
            return w, h, font(name, size)


# ---------------------------------------------------------------- crowded pictures without questions
def dense_picture(rng):
    """A packed picture full of characters or shapes; only the dense losses are trained on it."""
    w, h = rng.choice([84, 112, 112, 140, 140, 168]), rng.choice([84, 112, 112, 140, 140, 168])
    image, marks = dense_text(rng, w, h) if rng.random() < 0.75 else dense_shapes(rng, w, h)
    return pack_picture(add_noise(rng, image), marks)


def dense_text(rng, w, h):
    """Lines of random characters in several fonts, and their marks."""
    image, background = canvas(rng, w, h)
    ink = readable(random_ink(rng, black_count=3), background)
    draw = ImageDraw.Draw(image)
    marks, y = [], rng.randint(0, 8)
    while True:
        size = int(rng.triangular(22, 52, 25))
        line_font = font(random_font_name(rng), size)
        x = rng.randint(2, 16)
        line = random_line(rng, line_font, w - 2 - x)
        _, y0, _, y1 = line_font.getbbox(line or "A")
        if y + y1 > h:
            if size <= 27 or h - y < 30:
                return image, marks
            continue  # try a smaller font
        draw.text((x, y), line, fill=ink, font=line_font)
        left = 0.0
        for i, char in enumerate(line):
            right = line_font.getlength(line[: i + 1])
            if char != " ":
                marks.append(dict(x=x + (left + right) / 2, y=y + (y0 + y1) / 2, label=char_label(char, -1)))
            left = right
        y += y1 + rng.randint(1, 6)


def random_line(rng, line_font, width):
    """As many random characters as fit into `width` px."""
    line = ""
    while True:
        char = rng.choice(CHARS) if rng.random() < 0.96 else " "
        if line_font.getlength(line + char) > width:
            return line
        line += char


def dense_shapes(rng, w, h):
    """A grid of random shapes, and their marks."""
    rgb = {c: jitter(rng, rng.choice(COLOURS[c])) for c in COLOUR_NAMES}
    colours = rng.sample(COLOUR_NAMES, 4)
    image, background = canvas(rng, w, h, [rgb[c] for c in colours])
    visible = [c for c in colours if colour_distance(rgb[c], background) > 75]
    colours = visible or ["black" if sum(background) > 380 else "white"]
    draw = ImageDraw.Draw(image)
    marks, cell = [], rng.randint(19, 48)
    for top in range(0, h - cell, cell):
        for left in range(0, w - cell, cell):
            if rng.random() < 0.2:
                continue
            r = rng.uniform(8, cell / 2 - 0.5)
            x, y = left + rng.uniform(r, cell - r), top + rng.uniform(r, cell - r)
            shape, colour = rng.choice(SHAPES), rng.choice(colours)
            draw_shape(draw, shape, x, y, r, rgb[colour])
            marks.append(dict(x=x, y=y, label=object_label(shape, colour, zone=zone_of(x, y, w, h)[0])))
    return image, marks


# ---------------------------------------------------------------- video
def video_scene(rng):
    """Four frames of one shape moving in one direction; marks are given per frame."""
    w, h = rng.choice([84, 84, 112, 112, 140]), rng.choice([84, 84, 112])
    shape, colour, move = rng.choice(SHAPES), rng.choice(COLOUR_NAMES), rng.choice(list(MOVES))
    rgb = jitter(rng, rng.choice(COLOURS[colour]))
    empty, _ = canvas(rng, w, h, [rgb])
    r = rng.uniform(9, 15)
    dx, dy = MOVES[move]
    span = (w if dx else h) - 2 * r - 2
    step = rng.uniform(min(7, span / 3 - 0.5), min(24, span / 3 - 0.1))
    start = rng.uniform(0, span - 3 * step)
    fixed_x, fixed_y = rng.uniform(r + 1, w - r - 1), rng.uniform(r + 1, h - r - 1)
    frames, marks = [], []
    for i in range(4):
        way = start + step * i
        along = r + 1 + (way if dx + dy > 0 else span - way)
        x, y = (along, fixed_y) if dx else (fixed_x, along)
        frame = empty.copy()
        draw_shape(ImageDraw.Draw(frame), shape, x, y, r, rgb)
        frames.append(frame)
        marks.append([dict(x=x, y=y, label=object_label(shape, colour, ranks=(0, 0, 0, 0)))])
    return dict(frames=frames, shape=shape, colour=colour, move=move, marks=marks)
