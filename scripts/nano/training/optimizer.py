"""Muon for hidden matrices, AdamW for embeddings, routers, norms, biases and the training heads."""

import torch


def orthogonalize(gradient, steps=5):
    """Push all singular values of the last two dimensions towards 1 (quintic Newton-Schulz iteration, in bfloat16)."""
    x = gradient.bfloat16()
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT.contiguous()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.mT if tall else x).float()


class Optimizer:
    """Both optimizers as one; gradients are read from the parameters."""

    def __init__(self, named_parameters):
        self.muon, self.adam = [], []
        for name, p in named_parameters:
            hidden = p.dim() >= 2 and not any(part in name for part in ("embed_tokens", "gate.weight", "head"))
            (self.muon if hidden else self.adam).append(p)
        self.momenta = [torch.zeros_like(p) for p in self.muon]
        self.adamw = torch.optim.AdamW(self.adam, betas=(0.9, 0.98), eps=1e-9, weight_decay=0.0, fused=True)

    @torch.no_grad()
    def step(self, muon_rate, adam_rate, weight_decay=0.02):
        """One update with these learning rates."""
        for p, momentum in zip(self.muon, self.momenta):
            momentum.lerp_(p.grad, 0.05)
            direction = orthogonalize(p.grad.lerp(momentum, 0.95))
            size = 0.2 * max(p.shape[-2:]) ** 0.5
            p.mul_(1 - muon_rate * weight_decay).add_(direction, alpha=-muon_rate * size)
        for group in self.adamw.param_groups:
            group["lr"] = adam_rate
        self.adamw.step()

    def state_dict(self):
        """What load_state_dict() needs."""
        return dict(momenta=self.momenta, adamw=self.adamw.state_dict())

    def load_state_dict(self, state):
        """Continue from a saved state."""
        for momentum, saved in zip(self.momenta, state["momenta"]):
            momentum.copy_(saved)
        self.adamw.load_state_dict(state["adamw"])
