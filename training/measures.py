"""What the model is measured by: each measure is one function on pictures."""

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
from diffusers import StableDiffusionImg2ImgPipeline

from training import fields as f
from training.fields import Float, Picture
from training.judge import LABELS, StyleJudge, verdicts
from training.sheets import render
from training.styles import PROMISED_STYLES, STYLES

STYLE_PROMPTS = {
    "watercolor": "watercolor painting",
    "oil": "oil painting",
    "impressionist": "impressionist painting",
    "pixel_art": "pixel art",
    "charcoal": "charcoal sketch",
    "pencil": "pencil sketch",
    "line_art": "black and white line art",
    "vaporwave": "vaporwave",
    "neon": "neon cyberpunk",
    "comic": "comic book style",
    "ukiyo_e": "ukiyo-e",
    "pop_art": "pop art",
}
"""The prompt that asks for each promised style."""

COLOR_AXES: dict[str, tuple[float, float, float]] = {
    "red": (1, -0.5, -0.5),
    "green": (-0.5, 1, -0.5),
    "blue": (-0.5, -0.5, 1),
    "yellow": (0.5, 0.5, -1),
}
"""Direction of each color word in RGB; the mean along it says how much of that color a picture has."""


def edges(picture: Picture) -> Float:
    """Gradient strength of the lightly blurred luma, its local mean divided out: where edges are, not how
    strong.
    """
    level = f.blur(f.gray(picture), 1.5)
    strength = np.hypot(cv2.Sobel(level, cv2.CV_32F, 1, 0), cv2.Sobel(level, cv2.CV_32F, 0, 1))
    return np.asarray(strength / (f.blur(strength, 12) + 4), np.float32)


def edge_agreement(seed: Picture, made: Picture) -> float:
    """Correlation of the edges of two pictures of one size: 1 for the same layout, about 0 for unrelated
    ones.
    """
    first, second = edges(seed), edges(made)
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def amount_of(color: str, picture: Picture) -> float:
    """Mean of a picture along a color's axis, in levels."""
    return float((picture.astype(np.float32) @ np.array(COLOR_AXES[color], np.float32)).mean())


def clipped_share(picture: Picture) -> float:
    """Share of channel values at the ends of the range: what a burnt picture is full of."""
    return float(((picture <= 2) | (picture >= 253)).mean())


def style_hits(
    pipeline: StableDiffusionImg2ImgPipeline,
    judge: StyleJudge,
    photos: Mapping[str, Picture],
    strength: float,
) -> dict[str, float]:
    """For each promised style, the share of photos for which the judge names it right."""
    hits = {}
    for style, prompt in STYLE_PROMPTS.items():
        made = np.stack([render(pipeline, photo, prompt, strength=strength) for photo in photos.values()])
        hits[style] = float((verdicts(judge, made).argmax(1) == LABELS.index(style)).mean())
    return hits


def structure_by_strength(
    pipeline: StableDiffusionImg2ImgPipeline,
    photos: Mapping[str, Picture],
    strengths: Sequence[float],
    styles: Sequence[str],
) -> tuple[dict[float, float], float]:
    """Mean edge agreement with the photo at each strength, and that of the styles' own renderers."""
    rng = np.random.default_rng(23)
    agreement = {
        strength: float(
            np.mean(
                [
                    edge_agreement(photo, render(pipeline, photo, STYLE_PROMPTS[style], strength=strength))
                    for photo in photos.values()
                    for style in styles
                ]
            )
        )
        for strength in strengths
    }
    rendered = [edge_agreement(p, STYLES[style](rng, p)) for p in photos.values() for style in styles]
    return agreement, float(np.mean(rendered))


def share_moved(pairs: Sequence[tuple[float, float]]) -> float:
    """Share of pairs whose second number is the smaller."""
    return float(np.mean([after < before for before, after in pairs]))


def negative_prompt_pairs(
    pipeline: StableDiffusionImg2ImgPipeline, photos: Mapping[str, Picture]
) -> list[tuple[float, float]]:
    """Amount of a color without and with that color as the negative prompt, for each photo and color."""
    pairs = []
    for photo in photos.values():
        plain = render(pipeline, photo, "a photo", strength=0.7)
        for color in COLOR_AXES:
            avoided = render(pipeline, photo, "a photo", strength=0.7, negative=f"{color} tones")
            pairs.append((amount_of(color, plain), amount_of(color, avoided)))
    return pairs


def guidance_pairs(
    pipeline: StableDiffusionImg2ImgPipeline,
    judge: StyleJudge,
    photos: Mapping[str, Picture],
    low: float = 1.5,
    high: float = 7.0,
) -> list[tuple[float, float]]:
    """Doubt of the judge about the asked style at low and at high guidance, for each photo and style."""
    pairs = []
    for photo in photos.values():
        for style in PROMISED_STYLES:
            weak, strong = (
                render(pipeline, photo, STYLE_PROMPTS[style], strength=0.6, guidance=scale)
                for scale in (low, high)
            )
            doubt = 1 - verdicts(judge, np.stack([weak, strong]))[:, LABELS.index(style)]
            pairs.append((float(doubt[0]), float(doubt[1])))
    return pairs


def color_cast(pipeline: StableDiffusionImg2ImgPipeline, photos: Mapping[str, Picture]) -> float:
    """Largest shift of a photo's mean color, in levels, at strength 0.1 with an empty prompt."""
    shifts = [
        np.abs(render(pipeline, p, "", strength=0.1).mean((0, 1), dtype=float) - p.mean((0, 1))).max()
        for p in photos.values()
    ]
    return float(max(shifts))


def median_seconds(call: Callable[[], object], repeats: int, now: Callable[[], float]) -> float:
    """Median wall time of a call after one to warm up."""
    call()
    times = []
    for _ in range(repeats):
        start = now()
        call()
        times.append(now() - start)
    return float(np.median(times))
