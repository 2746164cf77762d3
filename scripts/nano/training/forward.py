"""A fast forward over the parameters of Ernie4_5_VLMoeForConditionalGeneration.

The mathematics of transformers with other bookkeeping: valid tokens stay flat, attention is padded per length group, experts are
one matrix product per expert. check_forward.py compares the two.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .packed_ops import Experts, packed_attention


@dataclass
class Hidden:
    """What the losses need from one forward."""

    tokens: torch.Tensor  # [tokens, hidden], after the last norm
    picture_tokens: torch.Tensor | None  # [picture tokens, hidden], as they enter the text
    patches: torch.Tensor | None  # [patches, vision hidden], after the vision tower
    expert_loads: list  # per router, text before vision: [experts], how often each was chosen
    balance_loss: torch.Tensor | float


class FastForward:
    """Runs the parameters of a transformers model; `dtype` is that of the matrix products, the residual stream is fp32."""

    def __init__(self, model, dtype=torch.bfloat16):
        self.model, self.dtype, self.config = model, dtype, model.config

    def __call__(self, batch):
        """Hidden states of a Batch."""
        patches = picture_tokens = None
        if batch.media is not None:
            patches = self.vision_tower(batch.media)
            picture_tokens = self.resampler(patches, batch.media)
        return self.language_model(batch, picture_tokens, patches)

    def logits(self, hidden):
        """[n, vocabulary] in fp32."""
        return F.linear(hidden.to(self.dtype), self.model.lm_head.weight.to(self.dtype)).float()

    def linear(self, x, layer):
        bias = None if layer.bias is None else layer.bias.to(self.dtype)
        return F.linear(x.to(self.dtype), layer.weight.to(self.dtype), bias)

    def rms_norm(self, x, layer):
        return F.rms_norm(x, (x.shape[-1],), layer.weight, layer.variance_epsilon)

    def layer_norm(self, x, layer):
        return F.layer_norm(x, layer.normalized_shape, layer.weight, layer.bias, layer.eps)

    def vision_tower(self, media):
        """[patches, vision hidden]."""
        tower, heads = self.model.model.vision_tower, self.config.vision_config.num_heads
        x = self.linear(media.pixels, tower.patch_embed.proj).float()
        cos, sin = (a[:, None].to(self.dtype) for a in tower.rotary_pos_emb(x, media.positions))
        patches, width = x.shape
        half = width // heads // 2
        for block in tower.blocks:
            qkv = self.linear(self.layer_norm(x, block.norm1), block.attn.qkv).view(patches, 3 * heads, -1)
            qk, v = qkv.split([2 * heads, heads], 1)
            qk = qk * cos + torch.cat([-qk[..., half:], qk[..., :half]], -1) * sin
            attended = packed_attention(torch.cat([qk, v], 1), heads, heads, media.buckets)
            x = x + self.linear(attended, block.attn.proj)
            h = self.linear(self.layer_norm(x, block.norm2), block.mlp.fc1)
            x = x + self.linear(h * torch.sigmoid(1.702 * h), block.mlp.fc2)
        return self.layer_norm(x, tower.ln)

    def resampler(self, patches, media):
        """[picture tokens, hidden]: four patches become one block, one or two blocks become a token."""
        resampler = self.model.model.resampler_model
        blocks = self.resampler_mlp(patches.view(len(patches) // 4, -1), resampler.spatial_linear)
        pair = [blocks.index_select(0, i) for i in (media.first_blocks, media.second_blocks)]
        tokens = self.resampler_mlp(torch.cat(pair, -1), resampler.temporal_linear)
        return self.rms_norm(self.linear(tokens, resampler.mlp).float(), resampler.after_norm)[: media.token_count]

    def resampler_mlp(self, x, layers):
        return self.layer_norm(self.linear(F.gelu(self.linear(x, layers.fc1)), layers.fc2).float(), layers.ln)

    def language_model(self, batch, picture_tokens, patches):
        """Hidden, for all tokens of the batch."""
        lm = self.model.model.language_model
        x = F.embedding(batch.ids, lm.embed_tokens.weight)
        if picture_tokens is not None:
            x = x.index_copy(0, batch.placeholders, picture_tokens[: batch.media.used_token_count])
        cos, sin = (a[0][:, None].to(self.dtype) for a in lm.rotary_emb(x, batch.positions[:, None]))
        text, vision = (~batch.is_vision).nonzero()[:, 0], batch.is_vision.nonzero()[:, 0]
        hidden = Hidden(x, picture_tokens, patches, [], 0.0)
        for layer in lm.layers:
            x = x + self.attention(self.rms_norm(x, layer.input_layernorm), layer.self_attn, cos, sin, batch.buckets)
            h = self.rms_norm(x, layer.post_attention_layernorm)
            if hasattr(layer.mlp, "text_moe"):
                routed = self.modality_moe(h, layer.mlp, text, vision, hidden)
                x = x + routed + self.gated_mlp(h, layer.mlp.shared_experts)
            else:
                x = x + self.gated_mlp(h, layer.mlp)
        hidden.tokens = self.rms_norm(x, lm.norm)
        return hidden

    def attention(self, h, layer, cos, sin, buckets):
        config = self.config.text_config
        query_heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
        weight = torch.cat([layer.q_proj.weight, layer.k_proj.weight, layer.v_proj.weight]).to(self.dtype)
        qkv = F.linear(h.to(self.dtype), weight).view(len(h), query_heads + 2 * kv_heads, -1)
        qk, v = qkv.split([query_heads + kv_heads, kv_heads], 1)
        rotated = torch.stack((-qk[..., 1::2], qk[..., 0::2]), -1).flatten(-2)  # pairs of neighbours
        qkv = torch.cat([qk * cos + rotated * sin, v], 1)
        return self.linear(packed_attention(qkv, query_heads, kv_heads, buckets), layer.o_proj)

    def gated_mlp(self, h, layer):
        return self.linear(F.silu(self.linear(h, layer.gate_proj)) * self.linear(h, layer.up_proj), layer.down_proj)

    def modality_moe(self, h, mlp, text, vision, hidden):
        """Text tokens through the text experts, vision tokens through the vision experts."""
        routed = self.moe(h.index_select(0, text), mlp.text_moe, hidden)
        if len(vision) == 0:
            return routed
        routed = torch.cat([routed, self.moe(h.index_select(0, vision), mlp.vision_moe, hidden)])
        return routed.index_select(0, torch.cat([text, vision]).argsort())

    def moe(self, h, block, hidden):
        """The chosen experts of tokens of one modality; records load and balance loss in `hidden`."""
        gate, experts = block.gate, block.experts
        probabilities = torch.softmax(F.linear(h, gate.weight), 1)
        with torch.no_grad():  # the correction bias takes part in the choice only
            chosen = torch.topk(probabilities + gate.moe_statics.e_score_correction_bias, gate.top_k, 1)[1]
        weights = probabilities.gather(1, chosen)
        weights = weights / weights.sum(1, keepdim=True).clamp(min=gate.norm_min)
        load = torch.bincount(chosen.reshape(-1), minlength=probabilities.shape[1]).float()
        hidden.expert_loads.append(load)
        share = load / load.sum().clamp(min=1)
        hidden.balance_loss = hidden.balance_loss + (share * probabilities.mean(0)).sum() * len(load)
        gate_up, down = experts.gate_up_proj.to(self.dtype), experts.down_proj.to(self.dtype)
        return Experts.apply(h.to(self.dtype), weights, chosen, gate_up, down)
