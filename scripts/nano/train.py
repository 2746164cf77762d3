"""Train the nano ERNIE-4.5-VL on the CPU, in two data-parallel processes of one thread each.

    python scripts/nano/train.py --minutes 70
    python scripts/nano/train.py --minutes 30 --resume

Weights and tokenizer go to work/nano/model, the log and the state to resume from to work/nano.
"""

import argparse
import os
import random
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from data.drawing import DEFAULT_FONT_DIR, use_fonts
from tokenizers import Tokenizer
from training.batches import make_batch, mix_at
from training.checkpoint import save_model, save_processors, save_state
from training.collate import Collator
from training.config import EXPERT_COUNT, make_config
from training.forward import FastForward
from training.init import init_weights
from training.losses import WordLoss, make_heads, patch_loss, token_loss
from training.optimizer import Optimizer
from training.tokenizer import save_tokenizer, train_tokenizer
from transformers import Ernie4_5_VLMoeForConditionalGeneration

WARMUP_STEPS = 100
FULL_RATE_SHARE = 0.65  # of the time; then the learning rates fall linearly
MUON_RATE, ADAM_RATE = 3.5e-3, 1.5e-3
BALANCE_WEIGHT, BIAS_RATE = 0.001, 1e-4
GRADIENT_NORM_LIMIT = 4.0  # for the parameters of AdamW
LOG_STEPS, SAVE_SECONDS = 25, 180
REPORTED = ["loss", "dense loss", "dense accuracy", "patch accuracy", "word loss"]


class Trainer:
    """Model, optimizer, averages and bookkeeping of one process."""

    def __init__(self, args, rank):
        self.args, self.rank = args, rank
        self.model_folder, self.state_file = args.out / "model", args.out / "state.pt"
        tokenizer = Tokenizer.from_file(str(self.model_folder / "tokenizer.json"))
        torch.manual_seed(args.seed)
        self.model = Ernie4_5_VLMoeForConditionalGeneration(make_config(tokenizer)).train()
        init_weights(self.model)
        self.routers = [block.gate for block in self.expert_blocks()]
        for router in self.routers:
            router.moe_statics.e_score_correction_bias.requires_grad_(False)
        config = self.model.config
        self.heads = make_heads(config.text_config.hidden_size, config.vision_config.hidden_size)
        self.forward, self.collate, self.word_loss = FastForward(self.model), Collator(tokenizer), WordLoss(tokenizer)
        named = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        named += [("head." + n, p) for n, p in self.heads.named_parameters()]
        self.parameters = [p for _, p in named]
        self.optimizer = Optimizer(named)
        self.averages = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        self.step = 0
        if args.resume:
            self.load()

    def expert_blocks(self):
        """All expert blocks, text before vision in each layer: the order of Hidden.expert_loads."""
        for layer in self.model.model.language_model.layers:
            if hasattr(layer.mlp, "text_moe"):
                yield from (layer.mlp.text_moe, layer.mlp.vision_moe)

    def run(self):
        """Train until the time or the steps are used up; the first process keeps the time for all."""
        start = saved = time.time()
        duration = 60 * self.args.minutes
        while True:
            progress = torch.tensor([(time.time() - start) / duration])
            if self.args.processes > 1:
                dist.broadcast(progress, 0)
            done = progress.item() >= 1 or self.step == self.args.steps
            if self.rank == 0 and (done or time.time() - saved > SAVE_SECONDS):
                saved = time.time()
                self.save()
            if done:
                return
            self.train_step(progress.item())

    def train_step(self, progress):
        """One update."""
        rng = random.Random(self.args.seed * 1000003 + self.step * 97 + self.rank)
        mix, dense_weight = mix_at(self.step)
        batch = self.collate(*make_batch(rng, mix))
        hidden = self.forward(batch)
        loss, dense, reported = self.losses(batch, hidden)
        (loss + dense_weight * dense + BALANCE_WEIGHT * hidden.balance_loss).backward()
        loads, reported = self.reduce(hidden.expert_loads, reported)
        rate = self.rate(progress)
        self.clip_adam_gradients()
        self.optimizer.step(MUON_RATE * rate, ADAM_RATE * rate)
        for p in self.parameters:
            p.grad = None
        self.balance(loads, BIAS_RATE * rate)
        self.update_averages()
        self.step += 1
        self.log(progress, rate, loads, reported)

    def losses(self, batch, hidden):
        """Answer loss, dense losses and the numbers for the log."""
        places = (batch.targets >= 0).nonzero()[:, 0]
        errors = F.cross_entropy(self.forward.logits(hidden.tokens[places]), batch.targets[places], reduction="none")
        weights = torch.zeros(len(batch.targets))
        for start, count, _, _ in batch.branches:  # so that long thoughts do not drown short answers
            weights[start : start + count] = count**-0.5
        weights = weights[places]
        loss = (errors * weights).sum() / weights.sum()
        labels, embeddings = batch.media.labels, self.model.model.language_model.embed_tokens.weight
        tokens, accuracy = token_loss(hidden.picture_tokens, labels, self.heads["token"])
        first_blocks = batch.media.first_blocks[: batch.media.token_count]
        patches, patch_accuracy = patch_loss(hidden.patches, first_blocks, labels, self.heads["patch"])
        words = self.word_loss(hidden.picture_tokens, labels, embeddings)
        reported = [errors.mean().item(), tokens.item(), accuracy, patch_accuracy, words.item()]
        return loss, tokens + patches + words, reported

    def reduce(self, expert_loads, reported):
        """Average gradients, expert loads (as shares) and reported numbers over the processes, in one exchange."""
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        loads = [load / load.sum().clamp(min=1) for load in expert_loads]
        flat = torch.cat([x.reshape(-1) for x in (*gradients, *loads, torch.tensor(reported))])
        if self.args.processes > 1:
            dist.all_reduce(flat)
            flat /= self.args.processes
        sizes = [p.numel() for p in self.parameters]
        *gradients, loads, reported = flat.split([*sizes, len(self.routers) * EXPERT_COUNT, len(reported)])
        for p, gradient in zip(self.parameters, gradients):
            p.grad = gradient.view_as(p)
        return loads.view(-1, EXPERT_COUNT), reported.tolist()

    def clip_adam_gradients(self):
        """Scale AdamW's gradients down when the norm of all gradients is large; Muon needs no clipping."""
        norm = torch.stack([p.grad.norm() for p in self.parameters]).norm()
        for p in self.optimizer.adam:
            p.grad.mul_((GRADIENT_NORM_LIMIT / (norm + 1e-6)).clamp(max=1.0))

    def rate(self, progress):
        """The factor of all learning rates: a warm-up by steps, then constant, then falling with the time."""
        warm_up = min(1.0, (self.step + 1) / WARMUP_STEPS)
        if progress <= FULL_RATE_SHARE:
            return warm_up
        return warm_up * max(0.02, (1 - progress) / (1 - FULL_RATE_SHARE))

    @torch.no_grad()
    def balance(self, loads, rate):
        """Move the correction biases towards the experts that are chosen less than their share."""
        for router, load in zip(self.routers, loads):
            bias = router.moe_statics.e_score_correction_bias
            bias.add_((1 / EXPERT_COUNT - load).sign().view(1, -1), alpha=rate)
            bias.sub_(bias.mean())

    @torch.no_grad()
    def update_averages(self):
        """Moving averages of the weights, which are what is saved; correction biases are taken as they are."""
        decay = min(0.995, (1 + self.step) / (20 + self.step))
        for name, p in self.model.named_parameters():
            if "moe_statics" in name:
                self.averages[name].copy_(p)
            else:
                self.averages[name].lerp_(p, 1 - decay)

    def log(self, progress, rate, loads, reported):
        """Print a line now and then, and append it to the log file."""
        if self.rank != 0 or self.step % LOG_STEPS != 0:
            return
        numbers = " ".join(f"{name} {value:.3f}" for name, value in zip(REPORTED, reported))
        highest = (loads.max(1).values * EXPERT_COUNT).tolist()
        load = f"expert load max/mean text {max(highest[0::2]):.2f} vision {max(highest[1::2]):.2f}"
        line = f"step {self.step} time {progress:.1%} rate {rate:.3f} {numbers} {load}"
        print(line, flush=True)
        with open(self.args.out / "train.log", "a") as file:
            file.write(line + "\n")

    def save(self):
        """Write the model and the state to resume from."""
        save_model(self.model, self.averages, self.model_folder)
        state = dict(
            model=self.model.state_dict(),
            heads=self.heads.state_dict(),
            optimizer=self.optimizer.state_dict(),
            averages=self.averages,
            step=self.step,
        )
        save_state(state, self.state_file)

    def load(self):
        """Continue from the saved state."""
        state = torch.load(self.state_file)
        self.model.load_state_dict(state["model"])
        self.heads.load_state_dict(state["heads"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.averages, self.step = state["averages"], state["step"]


def run_process(rank, args):
    """One of the processes."""
    torch.set_num_threads(1)
    use_fonts(args.fonts)
    if args.processes > 1:
        dist.init_process_group("gloo", f"tcp://127.0.0.1:{args.port}", rank=rank, world_size=args.processes)
    Trainer(args, rank).run()
    if args.processes > 1:
        dist.destroy_process_group()


def main():
    """Make the tokenizer if there is none, then start the processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=70, help="how long to train; the learning rate falls towards the end")
    parser.add_argument("--steps", type=int, help="stop after this many steps, for trying out")
    parser.add_argument("--resume", action="store_true", help="continue from OUT/state.pt")
    parser.add_argument("--out", type=Path, default=Path("work/nano"))
    parser.add_argument("--processes", type=int, default=2, help="data-parallel processes of one thread")
    parser.add_argument("--port", type=int, default=29571, help="local port the processes meet at")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fonts", default=DEFAULT_FONT_DIR, help="folder of the DejaVu fonts")
    args = parser.parse_args()
    use_fonts(args.fonts)
    model_folder = args.out / "model"
    model_folder.mkdir(parents=True, exist_ok=True)
    if not (model_folder / "tokenizer.json").exists():
        save_tokenizer(train_tokenizer(), model_folder)
    save_processors(model_folder)
    if args.processes == 1:
        run_process(0, args)
    else:
        mp.spawn(run_process, (args,), nprocs=args.processes)


if __name__ == "__main__":
    main()
