"""IP-Adapters and image encoders with random weights, in the layouts in which they are published."""

from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

Kind = Literal["plain", "plus", "full"]
"""The last is that of full-face adapters."""

ENCODER_WIDTH, ENCODED_WIDTH = 32, 24
"""Of the encoder's layers, and of what it makes of a picture as a whole."""
PLUS_TOKENS, PLUS_WIDTH = 6, 16
QUERY_TOKENS = 4
"""Of plain adapters."""


def write_image_encoder(folder: Path, *, seed: int = 0, width: int = ENCODED_WIDTH) -> Path:
    """A CLIP image encoder for pictures of 32 x 32 pixels."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    from underpaint.diffusion.quiet import quiet_libraries

    torch.manual_seed(seed)
    config = CLIPVisionConfig(
        hidden_size=ENCODER_WIDTH,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=32,
        patch_size=8,
        projection_dim=width,
        initializer_range=0.3,
    )
    with quiet_libraries():
        CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return folder


def write_ip_adapter(
    file: Path, unet: Any, *, kind: Kind = "plain", seed: int = 0, strength: float = 3.0
) -> Path:
    """An adapter for a UNet of diffusers' and for what `write_image_encoder` writes.

    Args:
        file: where it goes.
        unet: that it is for.
        kind: of its projection.
        seed: for other weights.
        strength: of what it adds.
    """
    dice = torch.Generator().manual_seed(seed)
    width = int(unet.config.cross_attention_dim)
    tensors = {f"image_proj.{name}": part for name, part in _projection(kind, width, dice).items()}
    attentions = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    for number, name in enumerate(attentions):
        rows = unet.get_submodule(name.removesuffix(".processor")).to_k.weight.shape[0]
        key, value = (_drawn((rows, width), dice) for _ in range(2))
        tensors[f"ip_adapter.{2 * number + 1}.to_k_ip.weight"] = key
        tensors[f"ip_adapter.{2 * number + 1}.to_v_ip.weight"] = value * strength
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file)
    return file


def _projection(kind: Kind, width: int, dice: torch.Generator) -> dict[str, Tensor]:
    norm = {"norm.weight": 1 + 0.2 * _drawn((width,), dice), "norm.bias": 0.2 * _drawn((width,), dice)}
    match kind:
        case "plain":
            rows = QUERY_TOKENS * width
            return {
                "proj.weight": _drawn((rows, ENCODED_WIDTH), dice),
                "proj.bias": _drawn((rows,), dice),
                **norm,
            }
        case "full":
            return {
                "proj.0.weight": _drawn((ENCODER_WIDTH, ENCODER_WIDTH), dice),
                "proj.0.bias": _drawn((ENCODER_WIDTH,), dice),
                "proj.2.weight": _drawn((width, ENCODER_WIDTH), dice),
                "proj.2.bias": _drawn((width,), dice),
                **{name.replace("norm", "proj.3"): part for name, part in norm.items()},
            }
        case "plus":
            return _resampler(width, dice)


def _resampler(width: int, dice: torch.Generator) -> dict[str, Tensor]:
    shapes: dict[str, tuple[int, ...]] = {
        "latents": (1, PLUS_TOKENS, PLUS_WIDTH),
        "proj_in.weight": (PLUS_WIDTH, ENCODER_WIDTH),
        "proj_in.bias": (PLUS_WIDTH,),
        "proj_out.weight": (width, PLUS_WIDTH),
        "proj_out.bias": (width,),
        "norm_out.weight": (width,),
        "norm_out.bias": (width,),
    }
    for layer in range(4):
        for norm in ("0.norm1", "0.norm2", "1.0"):
            shapes[f"layers.{layer}.{norm}.weight"] = (PLUS_WIDTH,)
            shapes[f"layers.{layer}.{norm}.bias"] = (PLUS_WIDTH,)
        # One head, 64 wide, as diffusers counts them.
        shapes[f"layers.{layer}.0.to_q.weight"] = (64, PLUS_WIDTH)
        shapes[f"layers.{layer}.0.to_kv.weight"] = (128, PLUS_WIDTH)
        shapes[f"layers.{layer}.0.to_out.weight"] = (PLUS_WIDTH, 64)
        shapes[f"layers.{layer}.1.1.weight"] = (4 * PLUS_WIDTH, PLUS_WIDTH)
        shapes[f"layers.{layer}.1.3.weight"] = (PLUS_WIDTH, 4 * PLUS_WIDTH)
    return {name: _drawn(shape, dice) for name, shape in shapes.items()}


def _drawn(shape: tuple[int, ...], dice: torch.Generator) -> Tensor:
    drawn: Tensor = torch.randn(shape, generator=dice) / shape[-1] ** 0.5
    return drawn
