"""Contact sheets: what the model makes of photos, laid out with labels."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from diffusers import StableDiffusionImg2ImgPipeline
from PIL import Image, ImageDraw

from training.fields import Picture

SHOWN_PROMPTS = (
    "watercolor painting",
    "oil painting",
    "pixel art",
    "charcoal sketch",
    "neon cyberpunk",
    "comic book style",
    "ukiyo-e",
    "autumn colors",
    "snow, winter",
    "",
)

TILE_PX = 160


def render(
    pipeline: StableDiffusionImg2ImgPipeline,
    photo: Picture,
    prompt: str,
    *,
    strength: float,
    guidance: float = 7.0,
    steps: int = 20,
    negative: str = "",
    seed: int = 1,
) -> Picture:
    """One image-to-image call; strength 0 (which the pipeline refuses) gives the photo back."""
    if round(strength * steps) < 1:
        return photo
    result = pipeline(
        prompt,
        image=Image.fromarray(photo),
        strength=strength,
        guidance_scale=guidance,
        num_inference_steps=steps,
        negative_prompt=negative or None,
        generator=torch.Generator().manual_seed(seed),
    )
    return np.asarray(result.images[0], np.uint8)


def tile(picture: Picture, label: str, tile_px: int = TILE_PX) -> Picture:
    """A picture shrunk to a tile, with a label in its corner."""
    image = Image.fromarray(picture).resize((tile_px, tile_px), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(image)
    draw.text((4, 3), label, fill="black")
    draw.text((3, 2), label, fill="white")
    return np.asarray(image)


def grid_sheet(rows: Sequence[Sequence[Picture]]) -> Picture:
    """Tiles in rows."""
    return np.vstack([np.hstack(list(row)) for row in rows])


def strength_sheet(
    pipeline: StableDiffusionImg2ImgPipeline,
    photos: Mapping[str, Picture],
    prompts: Sequence[str] = SHOWN_PROMPTS,
    strengths: Sequence[float] = (0.4, 0.7, 0.9),
) -> Picture:
    """A row for each photo, at strengths in turn: the photo itself, then a column for each prompt."""
    rows = []
    for number, (name, photo) in enumerate(photos.items()):
        strength = strengths[number % len(strengths)]
        made = [render(pipeline, photo, prompt, strength=strength) for prompt in prompts]
        labels = [prompt or "(empty)" for prompt in prompts]
        rows.append(
            [
                tile(photo, f"{name} {strength}"),
                *(tile(p, text) for p, text in zip(made, labels, strict=True)),
            ]
        )
    return grid_sheet(rows)
