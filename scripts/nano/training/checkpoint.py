"""Files of the trained model in the layout of transformers, and of a training state to resume."""

import copy
import os
import shutil

import torch
from data.patches import IMAGE_MEAN, IMAGE_STD, MAX_PIXELS, MERGE_SIZE, MIN_PIXELS, PATCH_SIZE
from transformers import GenerationConfig

from .tokenizer import write_json

FP32_PARAMETERS = ("gate.weight", "moe_statics")  # router weights and correction biases


def save_model(model, averages, folder):
    """Write the averaged weights in bfloat16, router weights and correction biases in fp32, with the configuration."""
    saved = copy.deepcopy(model)
    for name, p in saved.named_parameters():
        keep = any(part in name for part in FP32_PARAMETERS)
        p.data = averages[name].clone() if keep else averages[name].bfloat16()
    config = saved.config.text_config
    saved.config.dtype = torch.bfloat16
    saved.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
        do_sample=False,
        max_new_tokens=160,
    )
    unfinished = folder / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    saved.save_pretrained(unfinished)
    for file in unfinished.iterdir():
        os.replace(file, folder / file.name)
    unfinished.rmdir()


def save_processors(folder):
    """Write the configurations of the picture and video processors."""
    common = dict(
        do_resize=True,
        do_rescale=True,
        rescale_factor=1 / 255,
        do_normalize=True,
        do_convert_rgb=True,
        resample=3,  # bicubic
        patch_size=PATCH_SIZE,
        merge_size=MERGE_SIZE,
        size=dict(shortest_edge=MIN_PIXELS, longest_edge=MAX_PIXELS),
        processor_class="Ernie4_5_VLMoeProcessor",
        image_mean=IMAGE_MEAN,
        image_std=IMAGE_STD,
    )
    picture = dict(
        image_processor_type="Ernie4_5_VLMoeImageProcessor",
        min_pixels=MIN_PIXELS,
        max_pixels=MAX_PIXELS,
        temporal_patch_size=1,
    )
    video = dict(
        video_processor_type="Ernie4_5_VLMoeVideoProcessor",
        temporal_patch_size=2,
        min_frames=2,
        max_frames=16,
        do_sample_frames=True,
        draw_on_frames=False,
        font="",
    )
    write_json(folder / "preprocessor_config.json", picture | common)
    write_json(folder / "video_preprocessor_config.json", video | common)
    write_json(folder / "processor_config.json", dict(processor_class="Ernie4_5_VLMoeProcessor"))


def save_state(state, path):
    """Write a training state; a crash leaves the old file."""
    unfinished = path.with_suffix(".unfinished")
    torch.save(state, unfinished)
    os.replace(unfinished, path)
