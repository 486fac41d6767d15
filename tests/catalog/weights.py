"""Small model files for the tests, with the tensor names and the telling shapes of published ones."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

Shapes = Mapping[str, tuple[int, ...]]

UNET = "model.diffusion_model."
CROSS_ATTENTION = "1.transformer_blocks.0.attn2.to_k.weight"


def sd_single_file(
    text_width: int = 768, in_channels: int = 4, text_encoder: str = "cond_stage_model.transformer."
) -> Shapes:
    """A Stable Diffusion 1.x or 2.x checkpoint in the CompVis layout."""
    return {
        f"{UNET}input_blocks.0.0.weight": (8, in_channels, 3, 3),
        f"{UNET}input_blocks.1.{CROSS_ATTENTION}": (8, text_width),
        f"{UNET}out.2.weight": (4, 8, 3, 3),
        "first_stage_model.decoder.conv_in.weight": (8, 4, 3, 3),
        f"{text_encoder}embeddings.weight": (2, text_width),
    }


def write_safetensors(path: Path, shapes: Shapes) -> Path:
    """A file with tensors of these names and shapes, all zero."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.zeros(shape, np.float16) for name, shape in shapes.items()}, path)
    return path


def write_folder(
    folder: Path,
    *,
    pipeline: str = "StableDiffusionPipeline",
    cross_attention_dim: int = 768,
    in_channels: int = 4,
) -> Path:
    """A complete Stable Diffusion model in the diffusers layout, as far as the catalog looks."""
    components = {
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "PNDMScheduler"],
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "image_encoder": [None, None],
    }
    write_json(
        folder / "model_index.json", {"_class_name": pipeline, "requires_safety_checker": False, **components}
    )
    write_json(
        folder / "unet/config.json", {"cross_attention_dim": cross_attention_dim, "in_channels": in_channels}
    )
    write_json(folder / "vae/config.json", {"latent_channels": 4})
    for component in ("unet", "vae"):
        write_safetensors(folder / component / "diffusion_pytorch_model.safetensors", {"weight": (2, 2)})
    write_safetensors(folder / "text_encoder/model.safetensors", {"weight": (2, 2)})
    return folder


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
