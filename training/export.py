"""Put the trained parts together as a diffusers Stable Diffusion folder in half precision."""

import json
import shutil
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from diffusers import (
    AutoencoderTiny,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.utils import logging as diffusers_logging
from numpy.typing import NDArray
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from training.latents import encode_pictures
from training.schedule import build_scheduler

diffusers_logging.disable_progress_bar()
transformers_logging.disable_progress_bar()

Model = TypeVar("Model", bound=torch.nn.Module)


def image_to_image(
    autoencoder: AutoencoderTiny,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    unet: UNet2DConditionModel,
) -> StableDiffusionImg2ImgPipeline:
    """The stock image-to-image pipeline over the parts, without a progress bar."""
    pipeline = StableDiffusionImg2ImgPipeline(
        vae=autoencoder,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def normalise_latents(model: AutoencoderTiny, pictures: NDArray[np.uint8], device: torch.device) -> None:
    """Fold what is left of the latents' means and deviations into the outer convolutions, in place.

    Afterwards scaled latents of such pictures have zero mean and unit variance in every channel, and the
    reconstruction is the same up to the decoder's soft clipping of extreme latents.
    """
    scale = float(model.config["scaling_factor"])
    latents = torch.from_numpy(encode_pictures(model, pictures, device)).float() / scale
    mean, deviation = latents.mean((0, 2, 3)).to(device), latents.std((0, 2, 3)).to(device) * scale
    last = [layer for layer in model.encoder.layers if isinstance(layer, torch.nn.Conv2d)][-1]
    first = next(layer for layer in model.decoder.layers if isinstance(layer, torch.nn.Conv2d))
    if last.bias is None or first.bias is None:
        raise ValueError("the autoencoder's outer convolutions must have biases")
    with torch.no_grad():
        last.weight.div_(deviation[:, None, None, None])
        last.bias.copy_((last.bias - mean) / deviation)
        first.bias.add_((first.weight.sum((2, 3)) * mean).sum(1))
        first.weight.mul_(deviation[None, :, None, None])


def export_model(
    folder: Path,
    autoencoder: AutoencoderTiny,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    unet: UNet2DConditionModel,
) -> float:
    """Write the model folder in half precision, replacing an older one; returns its size in megabytes."""
    pipeline = StableDiffusionPipeline(
        vae=half(autoencoder, AutoencoderTiny.from_config(autoencoder.config)),
        text_encoder=half(text_encoder, CLIPTextModel(text_encoder.config)),
        tokenizer=tokenizer,
        unet=half(unet, UNet2DConditionModel.from_config(unet.config)),
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    pipeline.save_pretrained(partial, safe_serialization=True)
    forget_paths(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def replace_autoencoder(folder: Path, autoencoder: AutoencoderTiny) -> None:
    """Put another autoencoder into a model folder; its encoder must be the one that the denoiser was trained with."""
    half(autoencoder, AutoencoderTiny.from_config(autoencoder.config)).save_pretrained(folder / "vae")
    forget_paths(folder)


def forget_paths(folder: Path) -> None:
    """Take out of the configurations where on the trainer's machine the parts were loaded from."""
    for path in folder.rglob("*config.json"):
        config = json.loads(path.read_text())
        if config.pop("_name_or_path", None) is not None:
            path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def half(trained: Model, copy: Model) -> Model:
    """A half-precision copy that leaves the trained model as it is."""
    copy.load_state_dict(trained.state_dict())
    return copy.to(torch.float16)
