"""Drawing with PIL: fonts, backgrounds, shapes and camera-like noise; each function takes its random generator."""

import io
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .world import BACKGROUNDS, COLOUR_NAMES, COLOURS

FONTS = ["DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSansMono", "DejaVuSansMono-Bold"]
DEFAULT_FONT_DIR = "/usr/share/fonts/truetype/dejavu"  # where Debian's fonts-dejavu-core puts them

_font_dir = Path(DEFAULT_FONT_DIR)
_font_cache = {}


def use_fonts(directory):
    """Look for the DejaVu fonts in `directory` from now on."""
    global _font_dir
    _font_dir = Path(directory)
    _font_cache.clear()
    missing = [name for name in FONTS if not (_font_dir / f"{name}.ttf").is_file()]
    if missing:
        raise SystemExit(f"expected {missing[0]}.ttf in {_font_dir}; install fonts-dejavu-core or give --fonts DIR")


def random_font_name(rng):
    """One of the DejaVu fonts; sometimes None, Pillow's own."""
    return rng.choice(FONTS) if rng.random() < 0.93 else None


def font(name, size):
    """A font by name; None is Pillow's own font."""
    key = (name, size)
    if key not in _font_cache:
        path = _font_dir / f"{name}.ttf"
        _font_cache[key] = ImageFont.load_default(size) if name is None else ImageFont.truetype(path, size)
    return _font_cache[key]


def random_size(rng):
    """Width and height of a picture: 56..336 px, small ones more often."""
    if rng.random() < 0.45:
        w = h = rng.randint(56, 150)
    else:
        w, h = rng.randint(56, 190), rng.randint(56, 190)
    if rng.random() < 0.14:
        w, h = rng.randint(120, 336), rng.randint(120, 336)
    if rng.random() < 0.3:  # sizes that need no resizing
        w, h = max(56, round(w / 28) * 28), max(56, round(h / 28) * 28)
    return w, h


def colour_distance(a, b):
    """Euclidean distance of two RGB colours."""
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b)))


def jitter(rng, rgb, amount=12):
    """A colour close to `rgb`."""
    return tuple(min(255, max(0, v + rng.randint(-amount, amount))) for v in rgb)


def canvas(rng, w, h, avoid=()):
    """An empty picture and its background colour, which differs clearly from the colours in `avoid` if possible."""
    for _ in range(50):
        background = rng.choice(BACKGROUNDS)
        if all(colour_distance(background, c) > 105 for c in avoid):
            break
    else:
        background = (128, 128, 128)
    if background != (255, 255, 255):
        background = jitter(rng, background, 6)
    return Image.new("RGB", (w, h), background), background


def random_ink(rng, black_count):
    """A colour for text: black `black_count` times as often as any other."""
    return rng.choice([(0, 0, 0)] * black_count + [rng.choice(COLOURS[c]) for c in COLOUR_NAMES])


def readable(ink, background):
    """`ink`, or black or white where it could hardly be read."""
    if colour_distance(ink, background) >= 160:
        return ink
    return (0, 0, 0) if sum(background) > 380 else (255, 255, 255)


def add_noise(rng, image):
    """JPEG artefacts for a quarter of the pictures, grain for some others."""
    r = rng.random()
    if r < 0.25:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=rng.randint(55, 95))
        return Image.open(buffer).convert("RGB")
    if r < 0.4:
        pixels = np.asarray(image, dtype=np.int16)
        grain = np.random.RandomState(rng.randint(0, 1 << 30)).randint(-10, 11, pixels.shape, dtype=np.int16)
        return Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))
    return image


def draw_shape(draw, shape, x, y, r, fill):
    """Draw a shape around (x, y) inside a circle of radius about r."""
    if shape == "circle":
        draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)
    elif shape == "square":
        s = r * 0.86
        draw.rectangle((x - s, y - s, x + s, y + s), fill=fill)
    elif shape == "diamond":
        draw.polygon([(x, y - r), (x + r * 0.8, y), (x, y + r), (x - r * 0.8, y)], fill=fill)
    elif shape == "triangle":
        draw.polygon([(x, y - r), (x + r * 0.95, y + r * 0.75), (x - r * 0.95, y + r * 0.75)], fill=fill)
    else:
        draw.polygon(star_points(x, y, r), fill=fill)


def star_points(x, y, r):
    """The ten corners of a five-pointed star, the first one on top."""
    points = []
    for i in range(10):
        radius = r if i % 2 == 0 else r * 0.42
        angle = -math.pi / 2 + i * math.pi / 5
        points.append((x + radius * math.cos(angle), y + radius * math.sin(angle)))
    return points


def draw_objects(image, objects, rgb, smooth):
    """Draw all objects; `smooth` draws at twice the size and shrinks, which softens the edges."""
    k = 2 if smooth else 1
    w, h = image.size
    if smooth:
        image = image.resize((w * 2, h * 2), Image.NEAREST)
    draw = ImageDraw.Draw(image)
    for o in objects:
        draw_shape(draw, o["shape"], o["x"] * k, o["y"] * k, o["r"] * k, rgb[o["colour"]])
    return image.resize((w, h), Image.BOX) if smooth else image
