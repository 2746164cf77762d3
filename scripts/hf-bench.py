"""Speed of Hugging Face transformers on a checkpoint, on the CPU in fp32, as one JSON object on stdout.

    python scripts/hf-bench.py --model models/ernie-vl-nano --streams 1,4,16

Measured like our own engine in scripts/bench: prefill of one prompt of 512 text tokens; decode of 128 greedy tokens per stream
after prompts of 32. Attention is torch's fused one; of the implementations of the experts, each figure uses the fastest.
"""

import argparse
import json
import os
import platform
import statistics
import time

import torch
import transformers
from transformers import Ernie4_5_VLMoeForConditionalGeneration, StoppingCriteria

PREFILL_TOKENS, PROMPT_TOKENS, NEW_TOKENS = 512, 32, 128
PREFILLS = 10  # in one measurement
FIRST_TEXT_ID = 32  # ids below are special tokens
EXPERTS = ["grouped_mm", "batched_mm", "eager"]


class StepTimes(StoppingCriteria):
    """Notes when each token was there; never stops."""

    def __init__(self):
        self.seconds = []

    def __call__(self, input_ids, scores, **kwargs):
        self.seconds.append(time.perf_counter())
        return torch.zeros(len(input_ids), dtype=torch.bool)


def random_prompt(model, streams, length):
    """Model inputs of random text; the zeros send every token to the text experts."""
    ids = torch.randint(FIRST_TEXT_ID, model.config.text_config.vocab_size, (streams, length))
    zeros = torch.zeros_like(ids)
    return dict(input_ids=ids, attention_mask=torch.ones_like(ids), mm_token_type_ids=zeros, moe_mm_token_type_ids=zeros)


def prefill_speed(model):
    """Prompt tokens per second of a forward that fills the cache and computes the last logits."""
    inputs = random_prompt(model, 1, PREFILL_TOKENS)
    start = time.perf_counter()
    for _ in range(PREFILLS):
        model(**inputs, use_cache=True, logits_to_keep=1)
    return PREFILLS * PREFILL_TOKENS / (time.perf_counter() - start)


def decode_speed(model, streams):
    """New tokens per second of all streams together, without the first, which belongs to the prefill."""
    times = StepTimes()
    model.generate(
        **random_prompt(model, streams, PROMPT_TOKENS),
        max_new_tokens=NEW_TOKENS + 1,
        min_new_tokens=NEW_TOKENS + 1,
        do_sample=False,
        stopping_criteria=[times],
    )
    return streams * (len(times.seconds) - 1) / (times.seconds[-1] - times.seconds[0])


def fastest(model, measure, repeats):
    """Median speed with the fastest experts implementation, and its name; what transformers refuses here is left out.

    The trial takes the better of two runs after a warm-up, as other work on the machine only slows down.
    """
    trials = {}
    for name in EXPERTS:
        try:
            model.set_experts_implementation(name)
        except (ImportError, ValueError):
            continue
        measure()
        trials[name] = max(measure(), measure())
    winner = max(trials, key=trials.get)
    model.set_experts_implementation(winner)
    return statistics.median(measure() for _ in range(repeats)), winner


@torch.inference_mode()
def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/ernie-vl-nano", help="checkpoint folder")
    parser.add_argument("--streams", default="1,4,16", help="numbers of parallel streams")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each measurement; medians are reported")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: all cores")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    model = Ernie4_5_VLMoeForConditionalGeneration.from_pretrained(
        args.model, dtype=torch.float32, attn_implementation="sdpa"
    ).eval()
    prefill, winner = fastest(model, lambda: prefill_speed(model), args.repeats)
    decode, winners = {}, {"prefill": winner}
    for streams in map(int, args.streams.split(",")):
        decode[str(streams)], winner = fastest(model, lambda: decode_speed(model, streams), args.repeats)
        winners[f"decode {streams}"] = winner
    result = dict(
        prefill_tokens_per_s=round(prefill, 1),
        decode_tokens_per_s={streams: round(speed, 1) for streams, speed in decode.items()},
        attention="sdpa",
        experts=winners,
        dtype="float32",
        threads=args.threads,
        versions=dict(transformers=transformers.__version__, torch=torch.__version__, python=platform.python_version()),
    )
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
