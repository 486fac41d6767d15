"""Small SDXL checkpoints with random weights, real in every other respect."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.checkpoints import clip_config, make_vae, scale_output, write_tokenizer

SDXL_SCHEDULER: dict[str, Any] = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    # Unused by its own class, and there for others.
    "clip_sample": False,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
}
"""As SDXL 1.0 is published."""
TIME_WIDTH = 8


def write_sdxl_checkpoint(
    folder: Path,
    *,
    refiner: bool = False,
    scheduler: dict[str, Any] = SDXL_SCHEDULER,
    weights_seed: int = 0,
    force_zeros: bool = True,
    in_channels: int = 4,
    unet: Mapping[str, Any] = MappingProxyType({}),
    **vae_options: Any,
) -> Path:
    """An SDXL pipeline, or its refiner, saved as a diffusers folder.

    The two text encoders differ in width, as those of SDXL do. `vae_options` go to AutoencoderKL. What `unet` says
    of the UNet goes before what is usual here.
    """
    import diffusers
    import torch
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    from underpaint.diffusion.quiet import quiet_libraries

    torch.manual_seed(weights_seed)
    folder.mkdir(parents=True)
    with quiet_libraries(), torch.no_grad():
        tokenizer = write_tokenizer(folder / "tokenizer")
        first = None if refiner else CLIPTextModel(clip_config(tokenizer, width=32))
        second = CLIPTextModelWithProjection(clip_config(tokenizer, width=48))
        width, times = (48, 5) if refiner else (80, 6)
        network = diffusers.UNet2DConditionModel(
            **{
                "sample_size": 8,
                "in_channels": in_channels,
                "block_out_channels": (32, 64),
                "layers_per_block": 1,
                "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
                "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
                "transformer_layers_per_block": (1, 2),
                "cross_attention_dim": width,
                "attention_head_dim": (4, 8),
                "use_linear_projection": True,
                "addition_embed_type": "text_time",
                "addition_time_embed_dim": TIME_WIDTH,
                "projection_class_embeddings_input_dim": 48 + times * TIME_WIDTH,
                **unet,
            }
        )
        for name, weights in network.named_parameters():
            if name.endswith("attn2.to_out.0.weight") or name.startswith("add_embedding"):
                weights.mul_(4.0)
        added = {"text_embeds": torch.randn(1, 48), "time_ids": torch.full((1, times), 64.0)}
        made = network(
            torch.randn(1, in_channels, 8, 8), 500, torch.randn(1, 77, width), added_cond_kwargs=added
        )
        scale_output(network.conv_out, made.sample, std=1.0)
        options: dict[str, Any] = {"requires_aesthetics_score": True} if refiner else {}
        kind = "Img2Img" if refiner else ""
        getattr(diffusers, f"StableDiffusionXL{kind}Pipeline")(
            vae=make_vae(scaling_factor=0.13025, **vae_options),
            text_encoder=first,
            text_encoder_2=second,
            tokenizer=None if refiner else tokenizer,
            tokenizer_2=tokenizer,
            unet=network,
            scheduler=getattr(diffusers, scheduler["_class_name"]).from_config(scheduler),
            force_zeros_for_empty_prompt=force_zeros and not refiner,
            add_watermarker=False,
            **options,
        ).save_pretrained(folder)
    if refiner:
        shutil.rmtree(folder / "tokenizer")
    return folder
