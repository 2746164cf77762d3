"""Rows become one batch: a flat list of tokens, pictures as a flat list of patches, and how both are grouped for attention."""

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from data.chat import IMAGE, VIDEO, VISION
from data.patches import IMAGE_MEAN, IMAGE_STD, LABELS

# Upper lengths of the attention groups; a sequence is padded at most to the longest one of its group.
TEXT_EDGES = [64, 112, 144, 184, 256, 4096]
VISION_EDGES = [24, 36, 64, 100, 160, 256, 4096]
MASKED = -1e9


def round_up(n, multiple):
    """The next multiple of `multiple`; few distinct matrix shapes let oneDNN reuse its kernels."""
    return -(-n // multiple) * multiple


class Buckets:
    """The sequences of a flat array, grouped by length and padded inside a group.

    `pad` lists for every padded place the flat index it is filled from (padding: the sequence's first), `unpad` for every flat
    place its padded index; `is_real` [padded, 1] is 0 on padding. Per group: `members`, `sizes` (rows, columns), and `masks`,
    added to the attention scores, or None.
    """

    def __init__(self, lengths, edges):
        lengths = np.asarray(lengths)
        start = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        pad, is_real, low = [], [], 0
        self.members, self.sizes, self.masks = [], [], []
        for edge in edges:
            members = np.nonzero((lengths > low) & (lengths <= edge))[0]
            low = edge
            if len(members) == 0:
                continue
            width = round_up(int(lengths[members].max()), 8)
            column = np.arange(width)[None]
            real = column < lengths[members][:, None]
            first = start[members][:, None]
            pad.append(np.where(real, first + column, first).ravel())
            is_real.append(real.ravel())
            mask = None if real.all() else torch.from_numpy(np.where(real, 0, MASKED).astype(np.float32))[:, None, None]
            self.members.append(members)
            self.sizes.append((len(members), width))
            self.masks.append(mask)
        pad, is_real = np.concatenate(pad), np.concatenate(is_real)
        unpad = np.empty(int(lengths.sum()), np.int64)
        unpad[pad[is_real]] = np.nonzero(is_real)[0]
        self.pad, self.unpad = torch.from_numpy(pad), torch.from_numpy(unpad)
        self.is_real = torch.from_numpy(is_real.astype(np.float32))[:, None]

    def set_branch_masks(self, segments):
        """Causal masks in which a branch sees itself and the shared prefix. `segments` per sequence: 0 prefix, 1.. branches."""
        for group, (members, (rows, width)) in enumerate(zip(self.members, self.sizes)):
            padded = np.full((rows, width), -1)
            for row, member in enumerate(members):
                padded[row, : len(segments[member])] = segments[member]
            padded = torch.from_numpy(padded)
            visible = (padded[:, None, :] == padded[:, :, None]) | (padded[:, None, :] == 0)
            visible &= torch.ones(width, width, dtype=torch.bool).tril()
            self.masks[group] = torch.zeros(rows, 1, width, width).masked_fill_(~visible[:, None], MASKED)


@dataclass
class Media:
    """All pictures of a batch. A block is 2 x 2 patches; a picture token is made from one block, or from two of a video."""

    pixels: torch.Tensor  # [patches, 588], normalized, padded
    patch_count: int  # without padding
    positions: torch.Tensor  # [patches, 2], row and column
    buckets: Buckets  # a picture or a frame is one sequence
    first_blocks: torch.Tensor  # [picture tokens], padded: the block of the token, for videos of its first frame
    second_blocks: torch.Tensor  # [picture tokens], padded: the block of the second frame; the same for pictures
    token_count: int  # picture tokens without padding
    used_token_count: int  # those that stand in a text; they come first
    labels: torch.Tensor  # [4 * token_count, 7], the dense labels of the first blocks


@dataclass
class Batch:
    """One step's input for FastForward and the losses."""

    ids: torch.Tensor  # [tokens], padded
    token_count: int  # without padding
    positions: torch.Tensor  # [3, tokens]: time, row, column
    targets: torch.Tensor  # [tokens], the token to predict at this place, -1 for none
    is_vision: torch.Tensor  # [tokens], goes to the vision experts
    placeholders: torch.Tensor  # where picture tokens stand
    buckets: Buckets
    branches: list  # (first target place, target count, skill, think)
    media: Media | None


def block_order(grid):
    """An array [rows, columns] of patches, flat in the order of 2 x 2 blocks."""
    rows, columns = grid.shape
    return grid.reshape(rows // 2, 2, columns // 2, 2).transpose(0, 2, 1, 3).ravel()


class MediaBuilder:
    """Collects pictures and videos for one Media."""

    def __init__(self):
        self.patches, self.lengths, self.positions, self.labels = [], [], [], []
        self.first, self.second = [], []
        self.block_count = self.token_count = 0

    def add(self, item):
        """Append a picture or a video: dictionary of patches, grid (frames, rows, columns) and labels."""
        frames, rows, columns = item["grid"]
        patch_count = rows * columns
        y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
        self.patches.append(item["patches"])
        self.lengths += [patch_count] * frames
        self.positions += [np.stack([block_order(y), block_order(x)], 1)] * frames
        self.labels.append(item["labels"].reshape(frames, patch_count, len(LABELS))[0::2].reshape(-1, len(LABELS)))
        blocks = self.block_count + np.arange(frames * patch_count // 4).reshape(frames, -1)
        self.first.append(blocks[0::2].ravel())
        self.second.append(blocks[1::2].ravel() if frames > 1 else blocks[0])
        self.block_count += blocks.size
        self.token_count += self.first[-1].size

    def build(self, used_token_count):
        """Everything added, as padded tensors."""
        patches = torch.from_numpy(np.concatenate(self.patches)).float()
        mean, std = torch.tensor(IMAGE_MEAN)[:, None], torch.tensor(IMAGE_STD)[:, None]
        pixels = ((patches.view(-1, 3, 196) / 255.0 - mean) / std).view(-1, 588)
        padding = round_up(len(pixels), 256) - len(pixels)
        lengths, positions = self.lengths, self.positions
        if padding:
            lengths, positions = lengths + [padding], positions + [np.zeros((padding, 2), np.int64)]
        fill = np.zeros(round_up(self.token_count, 64) - self.token_count, np.int64)
        return Media(
            pixels=F.pad(pixels, (0, 0, 0, padding)),
            patch_count=len(pixels),
            positions=torch.from_numpy(np.concatenate(positions)),
            buckets=Buckets(lengths, VISION_EDGES),
            first_blocks=torch.from_numpy(np.concatenate([*self.first, fill])),
            second_blocks=torch.from_numpy(np.concatenate([*self.second, fill])),
            token_count=self.token_count,
            used_token_count=used_token_count,
            labels=torch.from_numpy(np.concatenate(self.labels)),
        )


@dataclass
class Sequence:
    """One row as tokens; `next_position` continues its text."""

    ids: list = field(default_factory=list)
    positions: list = field(default_factory=list)  # of arrays [3, some tokens]
    segments: list = field(default_factory=list)
    targets: list = field(default_factory=list)
    next_position: int = 0

    def add_prefix_token(self, token):
        """A token of text before the branches."""
        self.ids.append(token)
        self.positions.append(np.full((3, 1), self.next_position))
        self.next_position += 1

    def add_media(self, token, grid):
        """The placeholders of a picture or video; text goes on after its longer side."""
        frames, rows, columns = grid
        shape = max(1, frames // 2), rows // 2, columns // 2
        self.positions.append(np.stack([axis.ravel() for axis in np.indices(shape)]) + self.next_position)
        self.ids += [token] * int(np.prod(shape))
        self.next_position += max(shape[1:])

    def add_branch(self, prompt, target):
        """A branch after the prefix; returns the place where its first target is predicted."""
        if not self.segments:  # the prefix ends here
            self.segments, self.targets = [0] * len(self.ids), [-1] * len(self.ids)
        start, length = len(self.ids) + len(prompt) - 1, len(prompt) + len(target)
        segment = self.segments[-1] + 1 if self.segments else 1
        self.ids += prompt + target
        self.segments += [segment] * length
        self.targets += [-1] * (len(prompt) - 1) + target + [-1]
        self.positions.append(np.broadcast_to(np.arange(length) + self.next_position, (3, length)))
        return start


class Collator:
    """Makes batches from rows and dense pictures, with this tokenizer."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.media_ids = [tokenizer.token_to_id(t) for t in (IMAGE, VIDEO)]
        self.vision_ids = [tokenizer.token_to_id(t) for t in VISION]
        self.pad_id = tokenizer.token_to_id("<pad>")

    def encode(self, rows):
        """Token ids of prefix, prompt, target, prompt, target ... of all rows in order."""
        texts = []
        for row in rows:
            texts += [row["prefix"], *(b[part] for b in row["branches"] for part in ("prompt", "target"))]
        return iter([e.ids for e in self.tokenizer.encode_batch(texts, add_special_tokens=False)])

    def __call__(self, rows, dense_pictures=()):
        """A batch; dense pictures have no text and serve the dense losses only."""
        pieces, media = self.encode(rows), MediaBuilder()
        sequences, branches, token_count = [], [], 0
        for row in rows:
            sequence, items = Sequence(), iter(row["media"])
            for token in next(pieces):
                if token in self.media_ids:
                    item = next(items)
                    media.add(item)
                    sequence.add_media(token, item["grid"])
                else:
                    sequence.add_prefix_token(token)
            for branch in row["branches"]:
                prompt, target = next(pieces), next(pieces)
                start = token_count + sequence.add_branch(prompt, target)
                branches.append((start, len(target), branch["skill"], branch["think"]))
            sequences.append(sequence)
            token_count += len(sequence.ids)
        used_token_count = media.token_count
        for picture in dense_pictures:
            media.add(picture)
        padding = round_up(token_count, 256) - token_count
        if padding:
            zeros = [np.zeros((3, padding), np.int64)]
            sequences.append(Sequence([self.pad_id] * padding, zeros, [0] * padding, [-1] * padding))
        media = media.build(used_token_count) if media.token_count else None
        return self.build(sequences, branches, token_count, media)

    def build(self, sequences, branches, token_count, media):
        """The sequences as flat tensors."""
        ids = np.concatenate([s.ids for s in sequences])
        buckets = Buckets([len(s.ids) for s in sequences], TEXT_EDGES)
        buckets.set_branch_masks([s.segments for s in sequences])
        return Batch(
            ids=torch.from_numpy(ids),
            token_count=token_count,
            positions=torch.from_numpy(np.concatenate([p for s in sequences for p in s.positions], 1)),
            targets=torch.from_numpy(np.concatenate([s.targets for s in sequences])),
            is_vision=torch.from_numpy(np.isin(ids, self.vision_ids)),
            placeholders=torch.from_numpy(np.nonzero(np.isin(ids, self.media_ids))[0]),
            buckets=buckets,
            branches=branches,
            media=media,
        )
