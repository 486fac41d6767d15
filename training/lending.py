"""Pairs for the IP-Adapter: what a photo becomes when another picture lends it palette and texture.

A look is a style's renderer with everything that it draws at random fixed, so that a reference and a photo that are
both rendered in it have the same inks, the same size of strokes, the same grain. Before that the photo is given the
reference's colors. So the two share what an artist would call the manner, and nothing of what they show.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.captions import color_caption, style_caption, weather_caption
from training.fields import Picture
from training.shards import weighted
from training.styles import STYLE_WEIGHTS, STYLES
from training.weather import COLORS, WEATHER, WEATHER_WEIGHTS

STYLED_SHARE = 0.6
"""Of the looks; the others are photos, which lend their palette alone."""
GREATEST_GAIN = 3.0
"""To which a palette's spread is stretched: more would show nothing but the noise of a flat photo."""


def lend_palette(picture: Picture, reference: Picture) -> Picture:
    """The picture with the mean and the covariance of the reference's colors.

    Of all linear maps that do so it is the one that moves colors least (Pitié and Kokaram, "The linear
    Monge-Kantorovitch linear colour mapping", 2007), here in CIELAB.
    """
    values, wanted = _lab(picture), _lab(reference)
    own, other = np.cov(values.T) + np.eye(3), np.cov(wanted.T) + np.eye(3)
    root = _power(own, 0.5)
    inverse = _power(own, -0.5)
    moved = inverse @ _power(root @ other @ root, 0.5) @ inverse
    gains, axes = np.linalg.eigh(moved)
    moved = axes @ np.diag(np.clip(gains, 1 / GREATEST_GAIN, GREATEST_GAIN)) @ axes.T
    lent = (values - values.mean(0)) @ moved + wanted.mean(0)
    lab = np.clip(lent, 0, 255).astype(np.uint8).reshape(picture.shape)
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)


def _lab(picture: Picture) -> NDArray[np.float64]:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).reshape(-1, 3).astype(np.float64)


def _power(matrix: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    values, axes = np.linalg.eigh(matrix)
    return np.asarray(axes @ np.diag(np.maximum(values, 1e-6) ** exponent) @ axes.T)


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a reference looks.

    Attributes:
        style: A style's name, or "" for a photo.
        render: Gives any picture this look.
    """

    style: str
    render: Callable[[Picture], Picture]


def draw_look(rng: np.random.Generator) -> Look:
    """A random one."""
    if rng.random() >= STYLED_SHARE:
        return Look(style="", render=lambda picture: picture)
    style, seed = weighted(rng, STYLE_WEIGHTS), int(rng.integers(2**32))
    return Look(style=style, render=lambda picture: STYLES[style](np.random.default_rng(seed), picture))


@dataclass(frozen=True, kw_only=True)
class Lent:
    """A photo that was lent a look.

    Attributes:
        picture: What became of it.
        reference: What lent it.
        caption: Words for the picture; they name the look where there are words for it.
        look: "photo", or the style's name.
    """

    picture: Picture
    reference: Picture
    caption: str
    look: str


def lend(rng: np.random.Generator, photo: Picture, content: str, other: Picture) -> Lent:
    """Render ``other`` in a random season, color and look, and let it lend them to ``photo``."""
    named = content
    draw = rng.random()
    if draw < 0.35:
        weather = weighted(rng, WEATHER_WEIGHTS)
        other, named = WEATHER[weather](rng, other), weather_caption(rng, content, weather)
    elif draw < 0.5:
        color = str(rng.choice(tuple(COLORS)))
        other, named = COLORS[color](rng, other), color_caption(rng, content, color)
    look = draw_look(rng)
    if look.style:
        named = style_caption(rng, content, look.style)
    picture = look.render(lend_palette(photo, other))
    return Lent(picture=picture, reference=look.render(other), caption=named, look=look.style or "photo")


def shown_small(picture: Picture, side_px: int) -> Picture:
    """A square reference as the image encoder is shown it while it trains."""
    return np.asarray(cv2.resize(picture, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8)
