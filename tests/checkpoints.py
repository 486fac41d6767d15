"""Small Stable Diffusion checkpoints with random weights, real in every other respect, for every room of tests."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from underpaint.catalog.embedded_entry import EMBEDDED
from underpaint.embedded import checkpoint_dir

EMBEDDED_CHECKPOINT = checkpoint_dir(EMBEDDED.air.partition(":")[2])
"""The folder of the model that ships with the package."""

PLAINEST_UNET: Mapping[str, Any] = {
    "block_out_channels": (32,),
    "down_block_types": ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",),
}
"""A UNet that is about as quick as one can be: for tests of much else."""
SD1_SCHEDULER: dict[str, Any] = {
    "_class_name": "PNDMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "clip_sample": False,
}
"""As Stable Diffusion 1.5 is published."""
SD2_SCHEDULER: dict[str, Any] = {
    **SD1_SCHEDULER,
    "_class_name": "DDIMScheduler",
    "prediction_type": "v_prediction",
}
"""As Stable Diffusion 2.1 is published."""


def write_checkpoint(
    folder: Path,
    *,
    scheduler: dict[str, Any] = SD1_SCHEDULER,
    weights_seed: int = 0,
    time_cond_proj_dim: int | None = None,
    in_channels: int = 4,
    linear_projection: bool = False,
    unet: Mapping[str, Any] = MappingProxyType({}),
) -> Path:
    """A Stable Diffusion pipeline with random weights, saved as a diffusers folder.

    8 pixels to a latent and a window of 77 tokens, as the published ones have. The weights are drawn so that the
    pictures are far from flat and the prompt changes them much: otherwise any two programs would agree on them. What
    `unet` says of the UNet goes before what is usual here.
    """
    import diffusers
    import torch
    from transformers import CLIPTextModel

    from underpaint.diffusion.quiet import quiet_libraries

    torch.manual_seed(weights_seed)
    folder.mkdir(parents=True)
    with quiet_libraries(), torch.no_grad():
        tokenizer = write_tokenizer(folder / "tokenizer")
        text_encoder = CLIPTextModel(clip_config(tokenizer, width=32))
        network = diffusers.UNet2DConditionModel(
            **{
                "sample_size": 8,
                "in_channels": in_channels,
                "out_channels": 4,
                "block_out_channels": (32, 64),
                "layers_per_block": 1,
                "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
                "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
                "cross_attention_dim": 32,
                "attention_head_dim": 8,
                "time_cond_proj_dim": time_cond_proj_dim,
                "use_linear_projection": linear_projection,
                **unet,
            }
        )
        for name, weights in network.named_parameters():
            if name.endswith("attn2.to_out.0.weight") or "cond_proj" in name:
                weights.mul_(4.0)
        vae = make_vae()
        scale_output(
            network.conv_out,
            network(torch.randn(1, in_channels, 8, 8), 500, torch.randn(1, 77, 32)).sample,
            std=1.0,
        )
        scheduler_class = getattr(diffusers, scheduler["_class_name"])
        diffusers.StableDiffusionPipeline(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=network,
            scheduler=scheduler_class.from_config(scheduler),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ).save_pretrained(folder)
    return folder


def write_tokenizer(folder: Path) -> Any:
    """The embedded model's, with windows of 77 tokens."""
    from transformers import AutoTokenizer

    shutil.copytree(EMBEDDED_CHECKPOINT / "tokenizer", folder)
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "model_max_length": 77}))
    return AutoTokenizer.from_pretrained(folder)


def clip_config(tokenizer: Any, *, width: int) -> Any:
    """Of a small text encoder, the width of its projection included."""
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        projection_dim=width,
        initializer_range=0.2,
    )


def make_vae(**options: Any) -> Any:
    """A small AutoencoderKL, 8 pixels to a latent."""
    import diffusers
    import torch

    vae = diffusers.AutoencoderKL(
        **{
            "sample_size": 64,
            "block_out_channels": (16, 16, 32, 32),
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "up_block_types": ("UpDecoderBlock2D",) * 4,
            "latent_channels": 4,
            "norm_num_groups": 8,
            **options,
        }
    )
    latents = torch.randn(1, vae.config.latent_channels, 8, 8)
    scale_output(vae.decoder.conv_out, vae.decode(latents).sample, std=0.5)
    return vae


def scale_output(layer: Any, output: Any, *, std: float) -> None:
    """Change a network's last layer so that its output is as far from flat as `std` says."""
    factor = std / output.std()
    layer.weight.mul_(factor)
    layer.bias.mul_(factor)


def photo_like(width_px: int = 64, height_px: int = 64) -> NDArray[np.uint8]:
    """A picture with slopes, edges and grain, height x width x 3."""
    rows, columns = np.mgrid[0:height_px, 0:width_px]
    red = rows * 255 / (height_px - 1)
    green = np.where((columns // 9 + rows // 13) % 2, 220, 40)
    blue = np.random.default_rng(7).integers(60, 200, (height_px, width_px))
    return np.stack([red, green, blue], axis=2).astype(np.uint8)
