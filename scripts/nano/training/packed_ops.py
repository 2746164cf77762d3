"""Attention and experts on flat tokens, without a row of padding in the matrices between them."""

import torch
import torch.nn.functional as F


class Pad(torch.autograd.Function):
    """Flat [tokens, width] to padded [padded, width], in fp32."""

    @staticmethod
    def forward(ctx, x, buckets):
        ctx.buckets, ctx.dtype = buckets, x.dtype
        return x.index_select(0, buckets.pad).float()

    @staticmethod
    def backward(ctx, gradient):
        return gradient.index_select(0, ctx.buckets.unpad).to(ctx.dtype), None


class Unpad(torch.autograd.Function):
    """Padded [padded, width] back to flat [tokens, width]."""

    @staticmethod
    def forward(ctx, x, buckets):
        ctx.buckets = buckets
        return x.index_select(0, buckets.unpad)

    @staticmethod
    def backward(ctx, gradient):
        return gradient.float().index_select(0, ctx.buckets.pad).mul_(ctx.buckets.is_real), None


def packed_attention(qkv, query_heads, kv_heads, buckets):
    """qkv [tokens, query_heads + 2 kv_heads, d] to [tokens, query_heads * d]; every sequence of `buckets` sees itself only."""
    _, _, d = qkv.shape
    padded = Pad.apply(qkv.flatten(1), buckets)
    outputs = []
    for part, (rows, width), mask in zip(padded.split([n * w for n, w in buckets.sizes]), buckets.sizes, buckets.masks):
        q, k, v = part.view(rows, width, -1, d).transpose(1, 2).split([query_heads, kv_heads, kv_heads], 1)
        q = q.reshape(rows, kv_heads, -1, d)  # the query heads of a kv head, one after the other
        scores = torch.matmul(q, k.transpose(2, 3)) * d**-0.5
        scores = scores.view(rows, query_heads, width, width)
        if mask is not None:
            scores = scores + mask
        weights = torch.softmax(scores, -1).view(rows, kv_heads, -1, width)
        output = torch.matmul(weights, v).view(rows, query_heads, width, d)
        outputs.append(output.transpose(1, 2).reshape(rows * width, query_heads * d))
    return Unpad.apply(torch.cat(outputs), buckets)


class Experts(torch.autograd.Function):
    """sum_k weights[n, k] * down_e(silu(gate_e x_n) * up_e x_n) with e = chosen[n, k].

    x [tokens, hidden], weights and chosen [tokens, k], gate_up [experts, 2 width, hidden], down [experts, hidden, width].
    The tokens of an expert lie together, padded to a multiple of 32 rows so that oneDNN sees few distinct shapes.
    """

    @staticmethod
    def forward(ctx, x, weights, chosen, gate_up, down):
        (tokens, k), experts, hidden = chosen.shape, len(gate_up), x.shape[1]
        flat = chosen.reshape(-1)
        order = flat.argsort()
        count = torch.bincount(flat, minlength=experts)
        padded = (count + 31) // 32 * 32
        start, first = padded.cumsum(0) - padded, count.cumsum(0) - count
        sorted_experts = flat.index_select(0, order)
        place = torch.arange(tokens * k) - first.index_select(0, sorted_experts) + start.index_select(0, sorted_experts)
        rows = int(padded.sum())
        token_of_row = torch.zeros(rows, dtype=torch.long)
        token_of_row[place] = order // k
        row_weight = torch.zeros(rows, 1, dtype=x.dtype)  # 0 on padding
        row_weight[place, 0] = weights.reshape(-1).index_select(0, order).to(x.dtype)
        row_of_choice = torch.empty(tokens * k, dtype=torch.long)
        row_of_choice[order] = place
        ends = (start + padded).tolist()
        segments = [(e, s, t) for e, (s, t) in enumerate(zip(start.tolist(), ends)) if t > s]

        inputs = x.index_select(0, token_of_row)
        gate_up_rows = x.new_empty(rows, gate_up.shape[1])
        for e, s, t in segments:
            torch.mm(inputs[s:t], gate_up[e].t(), out=gate_up_rows[s:t])
        gate, up = gate_up_rows.chunk(2, 1)
        inner = F.silu(gate) * up * row_weight
        outputs = x.new_empty(rows, hidden)
        for e, s, t in segments:
            torch.mm(inner[s:t], down[e].t(), out=outputs[s:t])
        ctx.save_for_backward(inputs, row_weight, gate_up_rows, inner, gate_up, down, token_of_row, row_of_choice)
        ctx.segments, ctx.shape = segments, (tokens, k, hidden)
        return outputs.index_select(0, row_of_choice).view(tokens, k, hidden).sum(1)

    @staticmethod
    def backward(ctx, gradient):
        inputs, row_weight, gate_up_rows, inner, gate_up, down, token_of_row, row_of_choice = ctx.saved_tensors
        tokens, k, hidden = ctx.shape
        d_outputs = gradient.to(inputs.dtype).index_select(0, token_of_row)
        d_inner = torch.empty_like(inner)
        d_down = torch.zeros_like(down)
        for e, s, t in ctx.segments:
            torch.mm(d_outputs[s:t], down[e], out=d_inner[s:t])
            torch.mm(d_outputs[s:t].t(), inner[s:t], out=d_down[e])
        gate, up = gate_up_rows.chunk(2, 1)
        sigmoid = torch.sigmoid(gate)
        silu = gate * sigmoid
        d_weights = (d_inner * (silu * up)).float().sum(1).index_select(0, row_of_choice).view(tokens, k)
        d_inner = d_inner * row_weight  # padding rows get no gradient
        d_gate_up_rows = torch.cat([d_inner * up * (sigmoid * (1 + gate * (1 - sigmoid))), d_inner * silu], 1)
        d_inputs = torch.empty_like(inputs)
        d_gate_up = torch.zeros_like(gate_up)
        for e, s, t in ctx.segments:
            torch.mm(d_gate_up_rows[s:t], gate_up[e], out=d_inputs[s:t])
            torch.mm(d_gate_up_rows[s:t].t(), inputs[s:t], out=d_gate_up[e])
        d_x = d_inputs.index_select(0, row_of_choice).view(tokens, k, hidden).sum(1)
        return d_x, d_weights, None, d_gate_up, d_down
