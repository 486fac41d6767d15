"""Procedural skies, and the canvas that a scene is painted on back to front."""

from dataclasses import dataclass, field

import numpy as np

from training import fields as f
from training.fields import Field, Float


@dataclass(kw_only=True)
class Canvas:
    """A picture being painted and the words for what is on it.

    Attributes:
        values: float32 RGB, 0..255.
        horizon: Row of the horizon.
        haze: Color of the air far away.
        light: Factors by which the time of day colors the ground.
        words: What was drawn, the most important first.
    """

    values: Float
    horizon: int
    haze: Float
    light: Float
    words: list[str] = field(default_factory=list)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.values.shape[0], self.values.shape[1]

    def cover(self, color: Float, mask: Field) -> None:
        """Paint a color (or a picture) where the mask is one."""
        share = mask[..., None]
        self.values = (self.values * (1 - share) + color * share).astype(np.float32)


def rgb(red: float, green: float, blue: float) -> Float:
    """A color."""
    return np.array([red, green, blue], np.float32)


def pick(rng: np.random.Generator, *choices: Float) -> Float:
    """One of several colors, varied a little."""
    return np.asarray(choices[int(rng.integers(len(choices)))] * rng.uniform(0.86, 1.14, 3), np.float32)


SKIES = {
    "blue sky": (rgb(58, 118, 205), rgb(176, 208, 236), rgb(1, 1, 1)),
    "clear sky": (rgb(92, 150, 215), rgb(205, 225, 238), rgb(1.02, 1, 0.97)),
    "gray sky": (rgb(150, 158, 168), rgb(205, 208, 212), rgb(0.8, 0.83, 0.86)),
    "sunset sky": (rgb(88, 70, 130), rgb(250, 150, 80), rgb(1.0, 0.74, 0.6)),
    "pink evening sky": (rgb(110, 110, 175), rgb(245, 180, 180), rgb(0.9, 0.76, 0.8)),
    "night sky": (rgb(8, 12, 34), rgb(30, 44, 84), rgb(0.2, 0.25, 0.42)),
    "golden sky": (rgb(130, 150, 180), rgb(255, 224, 160), rgb(1.1, 0.95, 0.75)),
}
"""Zenith color, horizon color, and light on the ground."""

SKY_SHARES = np.array([0.3, 0.2, 0.14, 0.12, 0.08, 0.1, 0.06])


def paint_sky(rng: np.random.Generator, size_px: int) -> Canvas:
    """A sky with clouds, stars, sun or moon, and a canvas to go on with."""
    name = str(rng.choice(list(SKIES), p=SKY_SHARES))
    zenith, low, light = (value.copy() for value in SKIES[name])
    zenith, low = zenith * rng.uniform(0.88, 1.12, 3), low * rng.uniform(0.94, 1.06, 3)
    horizon = int(size_px * rng.uniform(0.35, 0.68))
    down = np.clip(np.arange(size_px) / max(horizon, 1), 0, 1)[:, None, None] ** rng.uniform(0.7, 1.5)
    values = (zenith * (1 - down) + low * down + np.zeros((size_px, size_px, 3))).astype(np.float32)
    canvas = Canvas(values=values, horizon=horizon, haze=low.astype(np.float32), light=light)
    words = [name]
    if name == "night sky":
        stars = f.blur((rng.random((size_px, size_px)) > 0.9975) * rng.random((size_px, size_px)) * 900, 0.6)
        canvas.values += stars[..., None]
        words = ["night sky with stars"]
    if name in {"sunset sky", "night sky", "golden sky"} and rng.random() < 0.6:
        words.append(paint_sun_or_moon(rng, canvas, night=name == "night sky"))
    elif name != "night sky" and rng.random() < 0.75:
        paint_clouds(rng, canvas, name)
        if name == "blue sky":
            words = ["blue sky with clouds"]
    canvas.words += words
    return canvas


def paint_sun_or_moon(rng: np.random.Generator, canvas: Canvas, *, night: bool) -> str:
    """A disc and its glow; says which it is."""
    height, width = canvas.size
    rows, columns = f.grid(height, width)
    x, y = rng.uniform(0.15, 0.85) * width, canvas.horizon * rng.uniform(0.35, 0.5 if night else 0.95)
    radius = width * rng.uniform(0.025, 0.05)
    distance = np.hypot(rows - y, columns - x)
    glow = np.exp(-distance / (radius * 5))[..., None]
    canvas.values += glow * (rgb(30, 34, 50) if night else rgb(150, 80, 20))
    canvas.cover(rgb(235, 235, 215) if night else rgb(255, 235, 170), np.clip(radius - distance + 0.5, 0, 1))
    return "moon" if night else "sun"


def paint_clouds(rng: np.random.Generator, canvas: Canvas, sky: str) -> None:
    """Clouds with lit tops and darker bottoms, smaller and flatter toward the horizon."""
    height, width = canvas.size
    base = f.cloud(rng, height, width, width * rng.uniform(0.16, 0.4), 6)
    rows, columns = f.grid(height, width)
    squeeze = (rows / max(canvas.horizon, 1)).clip(0, 1) ** 2 * height * 0.7
    base = f.resample(base, rows + squeeze, columns)
    density = np.clip((base - rng.uniform(-0.2, 0.7)) * rng.uniform(0.7, 1.8), 0, 1)
    shade = np.clip(0.75 + (base - np.roll(base, -max(2, width // 40), 0)) * 0.8, 0.45, 1.1)[..., None]
    evening = sky in {"sunset sky", "pink evening sky"}
    white = rgb(255, 178, 150) if evening else canvas.haze * 0.35 + 255 * 0.65
    canvas.cover((white * shade).astype(np.float32), (density * 0.95).astype(np.float32))
