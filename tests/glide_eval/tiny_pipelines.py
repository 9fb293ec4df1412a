"""Tiny random diffusers pipelines, saved to disk as the hub's are; nothing is downloaded."""

from __future__ import annotations

import json
from pathlib import Path

import torch

CARD = "---\nlicense: openrail++\n---\n# Tiny\n"
CLIP_TEXT = {
    "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "hidden_size": 32,
    "intermediate_size": 37, "num_attention_heads": 4, "num_hidden_layers": 2, "vocab_size": 600,
}  # fmt: skip


def clip_tokenizer(folder: Path):
    """CLIP's tokenizer with the 512 single letters alone."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    letters = sorted(ByteLevel.alphabet())
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: n for n, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77
    )


def t5_tokenizer():
    """A tokenizer of single letters with T5's class."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import T5TokenizerFast

    pieces = ["<pad>", "</s>", "<unk>", "▁", *map(chr, range(33, 127))]
    tokenizer = Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return T5TokenizerFast(tokenizer_object=tokenizer, extra_ids=0, model_max_length=64)


def text_encoder(projected: bool = False):
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(**CLIP_TEXT, projection_dim=32, hidden_act="gelu")
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()


def t5_encoder():
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        d_model=32, d_kv=8, d_ff=37, num_heads=4, num_layers=2, vocab_size=100,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    return T5EncoderModel(config).eval()


def vae(channels: int = 4):
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(32, 64), in_channels=3, out_channels=3, latent_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        use_quant_conv=channels == 4, use_post_quant_conv=channels == 4, sample_size=32,
        shift_factor=0.06, scaling_factor=1.5,
    ).eval()  # fmt: skip


def stable_diffusion(folder: Path):
    """SD 1.x."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64), layers_per_block=1, sample_size=16, in_channels=4,
        out_channels=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=32,
    )  # fmt: skip
    return StableDiffusionPipeline(
        unet=unet.eval(), vae=vae(), text_encoder=text_encoder(),
        tokenizer=clip_tokenizer(folder / "words"), safety_checker=None, feature_extractor=None,
        scheduler=DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
            clip_sample=False, set_alpha_to_one=False,
        ),
        requires_safety_checker=False,
    )  # fmt: skip


def sdxl(folder: Path):
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64), layers_per_block=1, sample_size=16, in_channels=4,
        out_channels=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=64,
        attention_head_dim=(2, 4), use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=8, transformer_layers_per_block=(1, 1),
        projection_class_embeddings_input_dim=80,
    )  # fmt: skip
    tokenizer = clip_tokenizer(folder / "words")
    return StableDiffusionXLPipeline(
        unet=unet.eval(), vae=vae(), text_encoder=text_encoder(),
        text_encoder_2=text_encoder(projected=True), tokenizer=tokenizer, tokenizer_2=tokenizer,
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
            timestep_spacing="leading",
        ),
        add_watermarker=False,
    )  # fmt: skip


def sd3(folder: Path):
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )

    torch.manual_seed(0)
    transformer = SD3Transformer2DModel(
        sample_size=16, patch_size=1, in_channels=16, num_layers=2, attention_head_dim=8,
        num_attention_heads=4, joint_attention_dim=32, caption_projection_dim=32,
        pooled_projection_dim=64, out_channels=16,
    )  # fmt: skip
    tokenizer = clip_tokenizer(folder / "words")
    return StableDiffusion3Pipeline(
        transformer=transformer.eval(), vae=vae(16), scheduler=FlowMatchEulerDiscreteScheduler(),
        text_encoder=text_encoder(projected=True), text_encoder_2=text_encoder(projected=True),
        text_encoder_3=t5_encoder(), tokenizer=tokenizer, tokenizer_2=tokenizer,
        tokenizer_3=t5_tokenizer(),
    )  # fmt: skip


def flux(folder: Path):
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    torch.manual_seed(0)
    transformer = FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=32,
        axes_dims_rope=(4, 4, 8), guidance_embeds=True,
    )  # fmt: skip
    return FluxPipeline(
        transformer=transformer.eval(), vae=vae(4), scheduler=FlowMatchEulerDiscreteScheduler(),
        text_encoder=text_encoder(), text_encoder_2=t5_encoder(),
        tokenizer=clip_tokenizer(folder / "words"), tokenizer_2=t5_tokenizer(),
    )  # fmt: skip


def pixart(folder: Path):
    from diffusers import (
        DPMSolverMultistepScheduler,
        PixArtSigmaPipeline,
        PixArtTransformer2DModel,
    )

    torch.manual_seed(0)
    transformer = PixArtTransformer2DModel(
        sample_size=16, num_layers=2, patch_size=2, attention_head_dim=8, num_attention_heads=3,
        caption_channels=32, in_channels=4, cross_attention_dim=24, out_channels=8,
        use_additional_conditions=False,
    )  # fmt: skip
    return PixArtSigmaPipeline(
        transformer=transformer.eval(), vae=vae(), scheduler=DPMSolverMultistepScheduler(),
        text_encoder=t5_encoder(), tokenizer=t5_tokenizer(),
    )  # fmt: skip


def qwen_image(folder: Path):
    from diffusers import (
        AutoencoderKLQwenImage,
        FlowMatchEulerDiscreteScheduler,
        QwenImagePipeline,
        QwenImageTransformer2DModel,
    )

    torch.manual_seed(0)
    transformer = QwenImageTransformer2DModel(
        patch_size=2, in_channels=16, out_channels=4, num_layers=2, attention_head_dim=16,
        num_attention_heads=3, joint_attention_dim=16, axes_dims_rope=(8, 4, 4),
    )  # fmt: skip
    coder = AutoencoderKLQwenImage(
        base_dim=24, z_dim=4, dim_mult=[1, 2, 4], num_res_blocks=1,
        temperal_downsample=[False, True], latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
    )  # fmt: skip
    return QwenImagePipeline(
        transformer=transformer.eval(), vae=coder.eval(), text_encoder=qwen_encoder(),
        scheduler=FlowMatchEulerDiscreteScheduler(), tokenizer=qwen_tokenizer(folder / "words"),
    )  # fmt: skip


def qwen_encoder():
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    ends = {"bos_token_id": 0, "eos_token_id": 1}
    text = {
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "vocab_size": 600,
        "num_attention_heads": 2, "num_key_value_heads": 2, **ends,
        "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"},
    }  # fmt: skip
    sight = {
        "depth": 2, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2,
        "out_hidden_size": 16,
    }  # fmt: skip
    config = Qwen2_5_VLConfig(text_config=text, vision_config=sight, **ends)
    return Qwen2_5_VLForConditionalGeneration(config).eval()


def qwen_tokenizer(folder: Path):
    """Qwen's tokenizer with single letters alone."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Tokenizer

    folder.mkdir(parents=True, exist_ok=True)
    letters = {letter: n for n, letter in enumerate(sorted(ByteLevel.alphabet()))}
    (folder / "vocab.json").write_text(json.dumps(letters))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return Qwen2Tokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))


MAKERS = {"sd15": stable_diffusion, "sdxl": sdxl, "sd3": sd3, "flux": flux}
OTHERS = {"pixart": pixart, "qwen_image": qwen_image}


def save_tiny(name: str, folder: Path) -> Path:
    """Save a tiny pipeline with a model card; its folder."""
    out = folder / name
    (MAKERS | OTHERS)[name](folder / f"{name}-words").save_pretrained(out)
    (out / "README.md").write_text(CARD, encoding="utf-8")
    return out
