"""The nano architecture, all fields explicit."""

from data.chat import BOS, EOS, IMAGE, IMAGE_END, IMAGE_START, VIDEO, VIDEO_END, VIDEO_START
from transformers import Ernie4_5_VLMoeConfig

LAYER_COUNT = 4
EXPERT_COUNT = 64


def make_config(tokenizer):
    """The configuration for this vocabulary."""
    token_id = tokenizer.token_to_id
    text = dict(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=LAYER_COUNT,
        num_attention_heads=4,
        num_key_value_heads=2,
        hidden_act="silu",
        max_position_embeddings=4096,
        initializer_range=0.02,
        rms_norm_eps=1e-5,
        use_cache=True,
        tie_word_embeddings=True,
        use_bias=False,
        moe_intermediate_size=[32, 32],
        moe_k=6,
        moe_num_experts=EXPERT_COUNT,
        moe_num_shared_experts=2,
        moe_norm_min=1e-12,
        output_router_logits=False,
        router_aux_loss_coef=0.001,
        mlp_layer_types=["dense"] + ["sparse"] * (LAYER_COUNT - 1),
        rope_parameters=dict(rope_type="default", rope_theta=10000.0, mrope_section=[6, 6, 4]),
        bos_token_id=token_id(BOS),
        eos_token_id=token_id(EOS),
        pad_token_id=token_id("<pad>"),
    )
    vision = dict(
        depth=4,
        hidden_size=96,
        hidden_act="quick_gelu",
        num_heads=4,
        in_channels=3,
        patch_size=14,
        spatial_merge_size=2,
        temporal_merge_size=2,
        intermediate_size=384,
        rms_norm_eps=1e-6,
        initializer_range=0.02,
        rope_parameters=dict(rope_type="axial", rope_theta=10000.0),
    )
    return Ernie4_5_VLMoeConfig(
        architectures=["Ernie4_5_VLMoeForConditionalGeneration"],
        text_config=text,
        vision_config=vision,
        image_start_token_id=token_id(IMAGE_START),
        image_end_token_id=token_id(IMAGE_END),
        image_token_id=token_id(IMAGE),
        video_start_token_id=token_id(VIDEO_START),
        video_end_token_id=token_id(VIDEO_END),
        video_token_id=token_id(VIDEO),
        tie_word_embeddings=True,
    )
