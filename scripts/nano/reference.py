"""The checkpoint in Hugging Face transformers: prompts, picture tokens and greedy answers. Needs no torchvision."""

from typing import NamedTuple

import torch
from data.chat import IMAGE, THINK_END, VIDEO, VISION
from transformers import AutoImageProcessor, AutoTokenizer, Ernie4_5_VLMoeForConditionalGeneration


class Output(NamedTuple):
    """What the model wrote. `text` keeps special tokens but not the end token; `margin` is the smallest distance of the
    best logit from the second best over all steps."""

    text: str
    answer: str
    ended: bool
    margin: float


class Reference:
    """A checkpoint folder, loaded in fp32."""

    def __init__(self, folder):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.image_processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        self.model = Ernie4_5_VLMoeForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        self.vision_ids = torch.tensor(self.tokenizer.convert_tokens_to_ids(VISION))

    def prompt(self, case, think):
        """The text of a case of cases.py, with one placeholder per picture or video."""
        return self.tokenizer.apply_chat_template(
            case["messages"], tools=case["tools"], tokenize=False, add_generation_prompt=True, enable_thinking=think
        )

    def inputs(self, case, think):
        """The model's inputs for a case: one placeholder per token, pixels, grids and token types."""
        text, inputs = self.prompt(case, think), {}
        if case["images"]:
            pixels = self.image_processor(case["images"], return_tensors="pt")
            inputs |= dict(pixel_values=pixels["pixel_values"], image_grid_thw=pixels["image_grid_thw"])
            for t, h, w in pixels["image_grid_thw"].tolist():
                text = text.replace(IMAGE, "\0" * (t * h * w // 4), 1)
            text = text.replace("\0", IMAGE)
        if case["frames"]:  # every frame is resized like a picture; two frames give one layer of tokens
            pixels = self.image_processor(case["frames"], return_tensors="pt")
            _, h, w = pixels["image_grid_thw"][0].tolist()
            grid = torch.tensor([[len(case["frames"]), h, w]])
            inputs |= dict(pixel_values_videos=pixels["pixel_values"], video_grid_thw=grid)
            text = text.replace(VIDEO, VIDEO * (len(case["frames"]) // 2 * h * w // 4))
        ids = self.tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
        return inputs | dict(input_ids=ids, attention_mask=torch.ones_like(ids)) | self.token_types(ids)

    def token_types(self, ids):
        """Which tokens stand for pictures and videos, and which go to the vision experts."""
        config = self.model.config
        media = (ids == config.image_token_id).int() + 2 * (ids == config.video_token_id).int()
        return dict(mm_token_type_ids=media, moe_mm_token_type_ids=torch.isin(ids, self.vision_ids).int())

    @torch.no_grad()
    def answer(self, case, think, max_new_tokens=160):
        """The greedy answer to a case."""
        inputs = self.inputs(case, think)
        result = self.model.generate(
            **inputs, max_new_tokens=max_new_tokens, do_sample=False, output_logits=True, return_dict_in_generate=True
        )
        ids = result.sequences[0, inputs["input_ids"].shape[1] :]
        best = torch.stack(result.logits)[:, 0].topk(2).values
        ended = ids[-1].item() == self.tokenizer.eos_token_id
        text = self.tokenizer.decode(ids[:-1] if ended else ids, skip_special_tokens=False)
        return Output(text, text.split(THINK_END)[-1].strip(), ended, (best[:, 0] - best[:, 1]).min().item())
