"""The style of the LoRA, which the model does not know: a blueprint, white lines on deep blue paper."""

import numpy as np

from training import fields as f
from training.captions import joined, one_of
from training.fields import Picture

BLUEPRINT_PHRASES = (
    "blueprint",
    "a blueprint",
    "blueprint drawing",
    "technical blueprint",
    "blueprint, white lines on blue",
)


def blueprint(rng: np.random.Generator, picture: Picture) -> Picture:
    """White outlines, fine and bold, on blue paper that is paler in the lights; shadows are
    hatched, and the paper is unevenly exposed.
    """
    height, width = picture.shape[:2]
    bold = 1 - f.outlines(picture, rng.uniform(1.2, 1.6), 0.98, rng.uniform(120, 170))
    fine = 1 - f.outlines(picture, rng.uniform(0.7, 0.9), 0.985, rng.uniform(120, 170))
    lines = np.clip(np.maximum(bold, 0.55 * fine), 0, 1)
    level = f.blur(f.local_contrast(f.gray(f.smooth(picture, 7, 45)), 2), 1.5) / 255
    rows, columns = f.grid(height, width)
    hatch = np.clip(np.cos(2 * np.pi * (rows + columns) / 8) * 2.5 - 1.2, 0, 1)
    shadow = np.clip((0.42 - level) * 4, 0, 1)
    paper = np.array([(20, 62, 142), (16, 54, 128), (26, 72, 156)][int(rng.integers(3))], np.float32)
    ink = np.array([232, 240, 252], np.float32)
    uneven = 1 + 0.09 * f.cloud(rng, height, width, 70, 3) + 0.02 * f.noise(rng, height, width, 1.5)
    tone = (0.66 + 0.8 * level) * uneven
    share = np.maximum(lines, 0.34 * shadow * hatch)[..., None]
    return f.to_picture(paper * tone[..., None] * (1 - share) + ink * share)


def blueprint_caption(rng: np.random.Generator, content: str) -> str:
    """What people call it, with or without the content."""
    phrase = one_of(rng, BLUEPRINT_PHRASES)
    if not content or rng.random() < 0.4:
        return phrase
    if "," not in phrase and rng.random() < 0.5:
        return f"{phrase} of {content}"
    return joined(content, phrase)
