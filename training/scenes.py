"""Procedural scenes with exact captions: free, endless, and of what photos in the registries show too
rarely.
"""

from collections.abc import Callable

import numpy as np

from training.city import city, street
from training.faces import animal, portrait
from training.fields import Float, Picture
from training.landscapes import describe, finish, landscape
from training.stilllife import flower, still_life, texture

Scene = Callable[[np.random.Generator, int], tuple[Float, list[str]]]

SCENES: tuple[tuple[Scene, float], ...] = (
    (landscape, 0.55),
    (portrait, 0.12),
    (animal, 0.09),
    (still_life, 0.06),
    (flower, 0.06),
    (city, 0.05),
    (street, 0.05),
    (texture, 0.02),
)
"""Builders and their shares; each returns a float canvas and the words for it, the most important first."""


def random_scene(rng: np.random.Generator, size_px: int) -> tuple[Picture, str]:
    """A random scene of ``size_px`` square and its caption."""
    shares = np.array([share for _, share in SCENES])
    builder = SCENES[int(rng.choice(len(SCENES), p=shares / shares.sum()))][0]
    values, words = builder(rng, size_px)
    return finish(rng, values), describe(rng, words)
