"""Speed of Hugging Face transformers on a model of given sizes with random weights; order on stdin, results on stdout, both JSON.

Started by bench-gpu's job `transformers`. bfloat16 on a GPU, float32 on a CPU; the faster of the experts' implementations.
Each line of the output holds everything found so far. What does not fit into the time or the memory is left out.
"""

import json
import platform
import statistics
import sys
import time

import torch
import transformers
from transformers import Ernie4_5_VLMoeConfig, Ernie4_5_VLMoeForConditionalGeneration, StoppingCriteria

EXPERTS = ["grouped_mm", "batched_mm", "eager"]
FIRST_TEXT_ID = 32


def build_config(sizes):
    """Our ModelConfig (src/core/model-config.ts) in the words of transformers."""
    text, moe, vision, tokens = sizes["text"], sizes["moe"], sizes["vision"], sizes["tokens"]
    pairs = text["ropePairs"]
    return Ernie4_5_VLMoeConfig(
        image_token_id=tokens["image"],
        video_token_id=tokens["video"],
        image_start_token_id=tokens["imageStart"],
        image_end_token_id=tokens["imageEnd"],
        video_start_token_id=tokens["videoStart"],
        video_end_token_id=tokens["videoEnd"],
        tie_word_embeddings=text["tiedEmbedding"],
        text_config=dict(
            vocab_size=text["vocabSize"],
            hidden_size=text["hiddenSize"],
            intermediate_size=text["denseWidth"],
            num_hidden_layers=text["layerCount"],
            num_attention_heads=text["queryHeadCount"],
            num_key_value_heads=text["kvHeadCount"],
            max_position_embeddings=text["maxPositions"],
            rms_norm_eps=text["rmsEpsilon"],
            rope_parameters=dict(
                rope_type="default",
                rope_theta=text["ropeTheta"],
                mrope_section=[pairs["height"], pairs["width"], pairs["time"]],
            ),
            mlp_layer_types=["sparse" if sparse else "dense" for sparse in moe["sparseLayers"]],
            moe_intermediate_size=[moe["textWidth"], moe["visionWidth"]],
            moe_k=moe["topK"],
            moe_num_experts=moe["expertCount"],
            moe_num_shared_experts=moe["sharedWidth"] // moe["textWidth"],
            moe_norm_min=moe["normMin"],
            tie_word_embeddings=text["tiedEmbedding"],
            pad_token_id=tokens["pad"],
        ),
        vision_config=dict(
            depth=vision["layerCount"],
            hidden_size=vision["hiddenSize"],
            intermediate_size=vision["mlpWidth"],
            num_heads=vision["headCount"],
            patch_size=vision["patchSize"],
            spatial_merge_size=vision["mergeSize"],
            temporal_merge_size=vision["temporalMergeSize"],
        ),
    )


class StepTimes(StoppingCriteria):
    """Notes when each token was there; never stops."""

    def __init__(self, now):
        self.now = now
        self.seconds = []

    def __call__(self, input_ids, scores, **kwargs):
        self.seconds.append(self.now())
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


class Bench:
    """A model on a device, and how to time it."""

    def __init__(self, order):
        self.device = order["device"]
        self.deadline = time.perf_counter() + order["seconds"]
        self.repeats = order["repeats"]
        self.vocab_size = order["config"]["text"]["vocabSize"]
        self.dtype = torch.bfloat16 if self.device == "cuda" else torch.float32
        torch.set_default_dtype(self.dtype)
        with torch.device(self.device):
            self.model = Ernie4_5_VLMoeForConditionalGeneration(build_config(order["config"])).eval()
        torch.set_default_dtype(torch.float32)

    def prompt(self, streams, length):
        """Random text; the zeros send every token to the text experts."""
        ids = torch.randint(FIRST_TEXT_ID, self.vocab_size, (streams, length), device=self.device)
        zeros = torch.zeros_like(ids)
        return dict(input_ids=ids, attention_mask=torch.ones_like(ids), mm_token_type_ids=zeros, moe_mm_token_type_ids=zeros)

    def now(self):
        """The clock, once the device is done."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def prefill(self, tokens):
        """Tokens per second of a forward that fills the cache and computes the last logits."""
        inputs = self.prompt(1, tokens)
        start = self.now()
        self.model(**inputs, use_cache=True, logits_to_keep=1)
        return tokens / (self.now() - start)

    def decode(self, streams, context, new_tokens):
        """New tokens per second of all streams together, without the first."""
        times = StepTimes(self.now)
        count = new_tokens + 1
        self.model.generate(
            **self.prompt(streams, context),
            max_new_tokens=count,
            min_new_tokens=count,
            do_sample=False,
            stopping_criteria=[times],
        )
        return streams * new_tokens / (times.seconds[-1] - times.seconds[0])

    def fastest(self, measure):
        """Median speed with the fastest implementation of the experts and its name; None where none works or the time is up."""
        trials = {}
        for name in EXPERTS:
            if time.perf_counter() > self.deadline:
                break
            try:
                self.model.set_experts_implementation(name)
                measure()
                trials[name] = measure()
            except (ImportError, ValueError, RuntimeError) as error:
                print(f"{name}: {error}", file=sys.stderr)
        if not trials:
            return None
        winner = max(trials, key=trials.get)
        self.model.set_experts_implementation(winner)
        return statistics.median([trials[winner], *(measure() for _ in range(self.repeats - 1))]), winner


@torch.inference_mode()
def main():
    """Measure what the order asks for."""
    order = json.load(sys.stdin)
    torch.manual_seed(0)
    transformers.utils.logging.set_verbosity_error()
    bench = Bench(order)
    versions = dict(transformers=transformers.__version__, torch=torch.__version__, python=platform.python_version())
    result = dict(dtype=str(bench.dtype).split(".")[1], versions=versions, prefill=[], decode=[])
    for streams in order["streams"]:
        if found := bench.fastest(lambda: bench.decode(streams, order["contextTokens"], order["decodeTokens"])):
            result["decode"].append(dict(streams=streams, tokensPerSecond=found[0], experts=found[1]))
            print(json.dumps(result), flush=True)
    for tokens in order["prompts"]:
        if found := bench.fastest(lambda: bench.prefill(tokens)):
            result["prefill"].append(dict(promptTokens=tokens, tokensPerSecond=found[0], experts=found[1]))
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
