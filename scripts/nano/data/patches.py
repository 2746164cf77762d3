"""Pictures as the model sees them: resized, cut into patches, with a label per patch."""

import math

import numpy as np
from PIL import Image

from .world import CHARS, COLOUR_NAMES, SHAPES

PATCH_SIZE, MERGE_SIZE = 14, 2
MIN_PIXELS, MAX_PIXELS = 56 * 56, 28 * 28 * 64
IMAGE_MEAN = [0.48145466, 0.4578275, 0.40821073]
IMAGE_STD = [0.26862954, 0.26130258, 0.27577711]

# The columns of a patch's labels. A rank counts objects from left to right: among all, among those of the same shape, of the
# same colour, of both. -1 = not labelled.
LABELS = ["class", "colour", "rank", "rank in shape", "rank in colour", "rank in both", "zone"]
RANK_COUNT = 8


def smart_resize(h, w, factor=PATCH_SIZE * MERGE_SIZE):
    """Height and width after resizing, by the rule of the transformers image processor."""
    new_h, new_w = round(h / factor) * factor, round(w / factor) * factor
    if new_h * new_w > MAX_PIXELS:
        beta = math.sqrt(h * w / MAX_PIXELS)
        new_h = max(factor, math.floor(h / beta / factor) * factor)
        new_w = max(factor, math.floor(w / beta / factor) * factor)
    elif new_h * new_w < MIN_PIXELS:
        beta = math.sqrt(MIN_PIXELS / (h * w))
        new_h, new_w = math.ceil(h * beta / factor) * factor, math.ceil(w * beta / factor) * factor
    return new_h, new_w


def shrink_factor(w, h):
    """How much a picture of this size is made smaller; 1 if it is not."""
    new_h, new_w = smart_resize(h, w)
    return min(1.0, new_w / w, new_h / h)


def patchify(image):
    """uint8 [patches, 588] in the order of 2 x 2 blocks, channel first inside a patch; and the grid (1, rows, columns)."""
    w, h = image.size
    new_h, new_w = smart_resize(h, w)
    if (new_w, new_h) != (w, h):
        image = image.resize((new_w, new_h), Image.BICUBIC)
    pixels = np.asarray(image, dtype=np.uint8)
    rows, columns = new_h // PATCH_SIZE, new_w // PATCH_SIZE
    pixels = pixels.reshape(rows // 2, 2, PATCH_SIZE, columns // 2, 2, PATCH_SIZE, 3)
    return pixels.transpose(0, 3, 1, 4, 6, 2, 5).reshape(rows * columns, 588), (1, rows, columns)


def patch_index(x, y, rows, columns):
    """Index of the patch that holds the point (x, y) of the resized picture, in the order of patchify()."""
    c = min(columns - 1, max(0, int(x // PATCH_SIZE)))
    r = min(rows - 1, max(0, int(y // PATCH_SIZE)))
    return ((r // 2) * (columns // 2) + c // 2) * 4 + (r % 2) * 2 + c % 2


def pack_picture(image, marks):
    """A picture for training: patches, grid and labels int64 [patches, 7]; a mark labels the patch its point lies in."""
    patches, grid = patchify(image)
    _, rows, columns = grid
    labels = np.full((rows * columns, len(LABELS)), -1, dtype=np.int64)
    labels[:, 0] = 0
    scale_x, scale_y = columns * PATCH_SIZE / image.size[0], rows * PATCH_SIZE / image.size[1]
    for m in marks:
        labels[patch_index(m["x"] * scale_x, m["y"] * scale_y, rows, columns)] = m["label"]
    return dict(patches=patches, grid=grid, labels=labels)


def char_label(char, rank):
    """The label of a printed character."""
    return [1 + len(SHAPES) + CHARS.index(char), -1, rank, -1, -1, -1, -1]


def object_label(shape, colour, ranks=(-1, -1, -1, -1), zone=-1):
    """The label of a drawn object."""
    return [1 + SHAPES.index(shape), COLOUR_NAMES.index(colour), *ranks, zone]


def zone_of(x, y, w, h):
    """Index of the zone a point lies in, and whether it is clear of the borders between zones."""
    fx, fy = x / w, y / h
    zone_x, zone_y = min(2, int(fx * 3)), min(2, int(fy * 3))
    clear = all(abs(f - border) > 0.05 for f in (fx, fy) for border in (1 / 3, 2 / 3))
    return zone_y * 3 + zone_x, clear
