"""What the model is measured by: each measure is one function on pictures."""

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
from diffusers import StableDiffusionImg2ImgPipeline

from training import fields as f
from training.fields import Float, Picture
from training.judge import LABELS, StyleJudge, log_odds
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
        hits[style] = float((log_odds(judge, made).argmax(1) == LABELS.index(style)).mean())
    return hits


def share_of_way(photo: Picture, made: Picture, end: Picture) -> float:
    """How far a picture went from the photo toward another one: 0 at the photo, 1 at the end.

    The mean is over pictures that are blurred a little, since grain differs from run to run and says nothing.
    """
    start, there, target = (f.blur(picture, 2) for picture in (photo, made, end))
    direction = target - start
    return float(((there - start) * direction).sum() / max(float((direction**2).sum()), 1e-6))


def style_by_strength(
    pipeline: StableDiffusionImg2ImgPipeline,
    judge: StyleJudge,
    photos: Mapping[str, Picture],
    strengths: Sequence[float],
    styles: Sequence[str],
) -> dict[float, tuple[float, float]]:
    """For each strength, the mean share of the way to the picture at strength 0.6, and the share of pictures whose
    style the judge names right. A strength that acts evenly goes a small part of the way at 0.1.
    """
    ways: dict[float, list[float]] = {strength: [] for strength in strengths}
    named: dict[float, list[bool]] = {strength: [] for strength in strengths}
    for photo in photos.values():
        for style in styles:
            end = render(pipeline, photo, STYLE_PROMPTS[style], strength=0.6)
            for strength in strengths:
                made = render(pipeline, photo, STYLE_PROMPTS[style], strength=strength)
                ways[strength].append(share_of_way(photo, made, end))
                verdict = int(log_odds(judge, made[None]).argmax())
                named[strength].append(verdict == LABELS.index(style))
    return {s: (float(np.mean(ways[s])), float(np.mean(named[s]))) for s in strengths}


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
    strength: float = 0.35,
) -> list[tuple[float, float]]:
    """Log odds of the judge against the asked style at low and at high guidance, for each photo and style.

    At strength 0.6 a style is complete at any guidance, the judge is as certain as it gets of both pictures, and
    which of two certainties is the greater is chance; at 0.35 there is room for guidance to act.
    """
    pairs = []
    for photo in photos.values():
        for style in PROMISED_STYLES:
            weak, strong = (
                render(pipeline, photo, STYLE_PROMPTS[style], strength=strength, guidance=scale)
                for scale in (low, high)
            )
            against = -log_odds(judge, np.stack([weak, strong]))[:, LABELS.index(style)]
            pairs.append((float(against[0]), float(against[1])))
    return pairs


CERTAIN = 3.0
"""Log odds (95%) from which on the judge is certain: with smoothed labels it is taught to stop near 4, and what lies
beyond says nothing.
"""


def open_pairs(pairs: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The pairs of ``guidance_pairs`` in which the judge is not certain of the style both times.

    The others are ties: guidance had nothing left to do.
    """
    return [pair for pair in pairs if max(pair) > -CERTAIN]


def color_casts(pipeline: StableDiffusionImg2ImgPipeline, photos: Mapping[str, Picture]) -> list[float]:
    """Shift of each photo's mean color (its largest channel), in levels, at strength 0.1 with an empty prompt."""
    return [
        float(np.abs(render(pipeline, p, "", strength=0.1).mean((0, 1), dtype=float) - p.mean((0, 1))).max())
        for p in photos.values()
    ]


def median_seconds(call: Callable[[], object], repeats: int, now: Callable[[], float]) -> float:
    """Median wall time of a call after one to warm up."""
    call()
    times = []
    for _ in range(repeats):
        start = now()
        call()
        times.append(now() - start)
    return float(np.median(times))
