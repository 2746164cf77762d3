"""Initial weights for the tiny width; some attention heads of the vision tower start by looking at neighbours."""

import torch

# (rows, columns) to the patch that each of the four heads looks at, for the first three blocks.
NEIGHBOURS = [
    [(0, -1), (0, 1), (-1, 0), (1, 0)],
    [(0, -1), (0, 1), (-1, 0), (1, 0)],
    [(0, -2), (0, 2), (-2, 0), (2, 0)],
]


@torch.no_grad()
def init_weights(model):
    """Set the initial weights of the whole model in place."""
    for name, p in model.named_parameters():
        if "embed_tokens" in name or name.endswith("gate.weight"):
            p.normal_(0, 0.05)
        elif p.dim() >= 2 and "moe_statics" not in name:
            writes_residual = any(part in name for part in ("o_proj", "down_proj", "attn.proj", "mlp.fc2"))
            p.normal_(0, p.shape[-1] ** -0.5 * (0.3 if writes_residual else 0.7))
    look_at_neighbours(model.model.vision_tower, model.config.vision_config.num_heads)


def look_at_neighbours(tower, head_count):
    """Make the tower begin like a small convolutional network.

    Constant query and key biases, the key rotated by the neighbour's offset, give the highest attention score there: the
    rotary embedding turns the difference of positions into the angle between the two.
    """
    frequencies = tower.rotary_pos_emb.inv_freq
    for block, offsets in zip(tower.blocks, NEIGHBOURS):
        bias = block.attn.qkv.bias.view(3, head_count, -1)
        head_dim = bias.shape[-1]
        amplitude = torch.zeros(len(frequencies))
        amplitude[0], amplitude[1] = (6.0 * head_dim**0.5) ** 0.5, (5.0 * head_dim**0.5) ** 0.5
        amplitude = torch.cat([amplitude, amplitude])  # rows, columns
        for head, (dy, dx) in enumerate(offsets):
            angle = torch.cat([-frequencies * dy, -frequencies * dx])
            bias[0, head] = torch.cat([amplitude, torch.zeros_like(amplitude)])
            bias[1, head] = torch.cat([amplitude * angle.cos(), amplitude * angle.sin()])
