"""Training-only losses on picture tokens, from the dense labels of data/patches.py. Nothing of them is in the checkpoint."""

import torch
import torch.nn.functional as F
from data.patches import LABELS, RANK_COUNT
from data.world import CHARS, CLASSES, COLOUR_NAMES, SHAPES, ZONES

# Number of values of each label column.
LABEL_SIZES = [len(CLASSES), len(COLOUR_NAMES), RANK_COUNT, RANK_COUNT, RANK_COUNT, RANK_COUNT, len(ZONES)]
CLASS, COLOUR, ZONE = LABELS.index("class"), LABELS.index("colour"), LABELS.index("zone")

EMPTY_WEIGHT = 0.25  # of the class "none", which most patches show


def make_heads(text_size, vision_size):
    """The linear heads of the losses: for a picture token (its four patches) and for a patch of the vision tower."""
    return torch.nn.ModuleDict(
        dict(
            token=torch.nn.Linear(text_size, 4 * sum(LABEL_SIZES)),
            patch=torch.nn.Linear(vision_size, LABEL_SIZES[CLASS] + LABEL_SIZES[COLOUR]),
        )
    )


def labelled_patches(labels, offset):
    """Indices of all patches that show something and of every fifth patch."""
    return ((labels[:, CLASS] > 0) | (torch.arange(len(labels)) % 5 == offset)).nonzero()[:, 0]


def class_loss(logits, classes):
    """Cross entropy of the class, and the accuracy where there is something."""
    weights = torch.ones(LABEL_SIZES[CLASS])
    weights[0] = EMPTY_WEIGHT
    shown = classes > 0
    accuracy = (logits.argmax(1) == classes)[shown].float().mean().item()
    return F.cross_entropy(logits, classes, weight=weights), accuracy


def token_loss(picture_tokens, labels, head):
    """All labels of the four patches of a token, from the resampler's output. Also the accuracy of the class."""
    keep = labelled_patches(labels, 0)
    logits = head(picture_tokens).view(-1, sum(LABEL_SIZES)).index_select(0, keep)
    labels = labels.index_select(0, keep)
    class_logits, *others = logits.split(LABEL_SIZES, 1)
    loss, accuracy = class_loss(class_logits, labels[:, CLASS])
    for column, column_logits in enumerate(others, 1):
        known = labels[:, column] >= 0
        if known.any():
            weight = 1.0 if column < 3 else 0.5
            loss = loss + weight * F.cross_entropy(column_logits[known], labels[known, column])
    return loss, accuracy


def patch_loss(patch_features, first_frames, labels, head):
    """Class and colour straight from the vision tower. Also the accuracy of the class.

    `first_frames` picks the 2 x 2 blocks that are labelled: of two video frames in one token only the first one is.
    """
    blocks = patch_features.view(-1, 4, patch_features.shape[1])
    keep = labelled_patches(labels, 2)
    logits = head(blocks.index_select(0, first_frames).flatten(0, 1).index_select(0, keep))
    labels = labels.index_select(0, keep)
    loss, accuracy = class_loss(logits[:, : LABEL_SIZES[CLASS]], labels[:, CLASS])
    coloured = labels[:, COLOUR] >= 0
    if coloured.any():
        loss = loss + F.cross_entropy(logits[coloured, LABEL_SIZES[CLASS] :], labels[coloured, COLOUR])
    return loss, accuracy


class WordLoss:
    """Picture tokens should look like the words they show: labels from the dot product with word embeddings.

    This puts pictures and questions into one space, so attention can match "red" with something red from the start.
    """

    def __init__(self, tokenizer):
        def token_ids(words):
            return torch.tensor([tokenizer.token_to_id(word) for word in words])

        self.classes = token_ids(["▁" + shape for shape in SHAPES] + list(CHARS))
        self.colours = token_ids(["▁" + colour for colour in COLOUR_NAMES])
        self.vertical = token_ids(["▁top", "▁bottom"])
        self.horizontal = token_ids(["▁left", "▁right"])

    def __call__(self, picture_tokens, labels, embeddings):
        """The loss for class, colour and zone; only the picture tokens are pulled, not the embeddings."""

        def similarity(patches, words):
            return picture_tokens.index_select(0, patches // 4) @ embeddings.index_select(0, words).detach().t()

        loss = 0.0
        for words, column, first in ((self.classes, CLASS, 1), (self.colours, COLOUR, 0)):
            patches = (labels[:, column] >= first).nonzero()[:, 0]
            if len(patches):
                loss = loss + F.cross_entropy(similarity(patches, words), labels[patches, column] - first)
        patches = (labels[:, ZONE] >= 0).nonzero()[:, 0]
        if len(patches):  # thirds of the picture: top / middle / bottom and left / middle / right; the middle scores 0
            zone = labels[patches, ZONE]
            for words, third in ((self.vertical, zone // 3), (self.horizontal, zone % 3)):
                low, high = similarity(patches, words).split(1, 1)
                loss = loss + 0.5 * F.cross_entropy(torch.cat([low, torch.zeros_like(low), high], 1), third)
        return loss
