"""Makes test/fixtures/traits: tiny random checkpoints with the traits of ERNIE-4.5-VL-424B-A47B and -28B-A3B-Thinking that the other
reference models lack, in Baidu's layout, and what transformers computes with them.

    nice python scripts/make-trait-fixtures.py ../shared/reference

The argument is the folder of make_reference.py, whose model, weights and tensor names are used. Needs torch, transformers >= 5.18 and
safetensors. The same input gives the same files. Each folder holds config.json, model.safetensors, and text.safetensors and
image.safetensors: a prompt, the logits of all its positions, and the experts that every layer chose.

transformers cannot read Baidu's config.json, and knows neither layer ranges nor a head that is stored although tied; its model is
therefore built with settings that mean the same: a list of layer types, an untied head.
"""

import copy
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

sys.dont_write_bytecode = True  # the reference folder is read-only
sys.path.insert(0, sys.argv[1])

import make_reference as reference
import numpy as np
import torch
import transformers
from make_reference import PATCH, SPECIAL, Case, Recorder, Variant
from safetensors.torch import save_file

OUT = Path(__file__).parent.parent / "test/fixtures/traits"
# The least distance of a chosen expert's score from a rejected one's: more than rounding can bridge.
LEAST_SELECTION_GAP = 2e-5


@dataclass
class Model:
    variant: Variant
    # Keys of config.json that differ from the 28B model's; None leaves the key out.
    config: dict
    sparse_layers: tuple
    dtype: torch.dtype
    # Multi-token-prediction layers, which serve training only. NaN, so that whoever reads them cannot go unnoticed.
    mtp_layers: int


MODELS = {
    "424b": Model(
        variant=Variant(
            seed=1, hidden=64, layers=5, heads=8, kv_heads=1, head_dim=8, mrope=(1, 1, 2), dense_width=64, experts=16, top_k=8,
            moe_width=(14, 6), shared_experts=0, vocab=128, tied=False, vision_hidden=8, vision_depth=1, vision_heads=2,
            router_bias_std=0.05,
        ),
        config={"moe_layer_start_index": [2, 2], "moe_layer_end_index": [3, 3], "moe_num_shared_experts": None},
        sparse_layers=(2, 3), dtype=torch.float16, mtp_layers=1,
    ),
    "thinking": Model(
        variant=Variant(
            seed=1, hidden=64, layers=4, heads=8, kv_heads=2, head_dim=8, mrope=(1, 1, 2), dense_width=40, experts=8, top_k=3,
            moe_width=(9, 3), shared_experts=2, vocab=128, tied=False, vision_hidden=8, vision_depth=1, vision_heads=2,
            router_bias_std=0.05,
        ),
        config={"moe_layer_start_index": 0, "moe_layer_end_index": -1, "moe_layer_interval": 2, "tie_word_embeddings": True},
        sparse_layers=(1, 3), dtype=torch.float32, mtp_layers=0,
    ),
}


def build_model(spec: Model, key: tuple):
    """The model that transformers runs: random weights, rounded to what the file stores."""
    v = spec.variant
    config = reference.native_config(v)
    config.text_config.mlp_layer_types = ["sparse" if layer in spec.sparse_layers else "dense" for layer in range(v.layers)]
    model = transformers.Ernie4_5_VLMoeForConditionalGeneration(config).float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            weight = torch.from_numpy(reference.draw_weight(v, key, name, parameter.shape))
            parameter.copy_(weight if reference.keep_fp32(name) else weight.to(spec.dtype).float())
    reference.set_kernels(model, "eager", "eager")
    assert not torch.equal(model.lm_head.weight, model.model.language_model.embed_tokens.weight)
    return model


def build_case(v: Variant, key: tuple, name: str) -> Case:
    """A prompt of text, or of text around one picture of 4 x 6 patches."""
    g = reference.rng(key, "text", name)
    text = lambda count: g.integers(reference.FIRST_TEXT_ID, v.vocab, count).tolist()
    case = Case(name)
    if name == "text":
        ids, vision, layout = text(20), [0] * 20, [("text", 20)]
    else:
        grid = (1, 4, 6)
        before, after = text(5), text(7)
        ids = [*before, SPECIAL["image_start"], *[SPECIAL["image_token"]] * 6, SPECIAL["image_end"], *after]
        vision = [0] * 5 + [1] * 8 + [0] * 7
        layout = [("text", 6), ("image", grid), ("text", 8)]
        case.image_grid = torch.tensor([grid])
        case.pixels_u8 = torch.from_numpy(g.integers(0, 256, (24, 3 * PATCH**2), dtype=np.uint8))
        processor = reference.make_processor()
        mean, std = (torch.tensor(x).repeat_interleave(PATCH**2) for x in (processor.image_mean, processor.image_std))
        case.pixels = (case.pixels_u8 / 255 - mean) / std
    case.ids, case.moe_type = torch.tensor(ids), torch.tensor(vision)
    case.pos, case.delta = reference.positions(layout)
    return case


def compute(model, spec: Model, case: Case) -> dict:
    """Logits, chosen experts by layer, and how far the choice is from another one."""
    recorder = Recorder(model)
    logits = reference.forward(model, case).logits[0]
    record = recorder.take()
    recorder.close()
    chosen, gaps = {}, []
    for layer in spec.sparse_layers:
        _, selected, _, scores = reference.merge_routers(record, layer, case.moe_type)
        chosen[layer] = selected
        gaps.append(reference.selection_gap(scores, spec.variant.top_k))
    return {"logits": logits, "chosen": chosen, "gap": min(gaps)}


def measure_noise(model, case: Case, logits) -> float:
    """How far fp32 is from fp64 (router, norms and rope stay fp32 in transformers)."""
    pixels = None if case.pixels is None else case.pixels.double()
    precise = reference.forward(copy.deepcopy(model).double(), replace(case, pixels=pixels)).logits[0]
    return (logits - precise).abs().max().item()


def write_checkpoint(folder: Path, spec: Model, model):
    v = spec.variant
    tensors = reference.hub_tensors(model.state_dict())
    tensors = {name: t.to(torch.float32 if reference.keep_fp32(name) else spec.dtype).contiguous() for name, t in tensors.items()}
    for layer in range(spec.mtp_layers):
        for part, shape in (("emb_norm", [v.hidden]), ("hidden_norm", [v.hidden]), ("linear_proj", [v.hidden, 2 * v.hidden])):
            tensors[f"model.mtp_{part}.{layer}.weight"] = torch.full(shape, torch.nan, dtype=spec.dtype)
    save(folder / "model.safetensors", tensors)
    config = reference.hub_config(v, str(spec.dtype).removeprefix("torch.")) | spec.config
    text = json.dumps({name: value for name, value in config.items() if value is not None}, indent=2)
    (folder / "config.json").write_text(text + "\n")


def save(path: Path, tensors: dict):
    """Whole numbers are stored as int32, as in the reference."""
    save_file({k: (t.int() if t.dtype == torch.int64 else t).contiguous() for k, t in tensors.items()}, path, metadata={"format": "pt"})
    path.chmod(0o644)


def write_case(folder: Path, case: Case, computed: dict):
    tensors = {
        "input_ids": case.ids, "position_ids": case.pos, "rope_delta": torch.tensor([case.delta]),
        "moe_mm_token_type_ids": case.moe_type, "logits": computed["logits"],
        **{f"router.layer{layer}.selected": selected for layer, selected in computed["chosen"].items()},
    }
    if case.pixels_u8 is not None:
        tensors |= {"image_grid_thw": case.image_grid, "pixel_u8": case.pixels_u8}
    save(folder / f"{case.name}.safetensors", tensors)


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    for name, spec in MODELS.items():
        folder = OUT / name
        folder.mkdir(parents=True, exist_ok=True)
        key = (spec.variant.seed, reference.crc(name))
        model = build_model(spec, key)
        write_checkpoint(folder, spec, model)
        for case_name in ("text", "image"):
            case = build_case(spec.variant, key, case_name)
            computed = compute(model, spec, case)
            assert computed["gap"] > LEAST_SELECTION_GAP, f"{name}: experts nearly tie ({computed['gap']:.1e}): try another seed"
            write_case(folder, case, computed)
            noise = measure_noise(model, case, computed["logits"])
            std = computed["logits"].std().item()
            print(f"{name}, {case_name}: logits std {std:.2f}, noise of fp32 against fp64 {noise:.1e}, selection gap {computed['gap']:.1e}")
        print(f"{name}: {sum(f.stat().st_size for f in folder.iterdir()):,} bytes")


main()
