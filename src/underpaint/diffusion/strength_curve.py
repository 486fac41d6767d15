"""A strength that means for models of rectified flows about what it means for Stable Diffusion.

A share of the steps leads far up a schedule that is shifted towards noise, and yet little of the picture is lost there:
its latents are many, and every one of them tells of the same large forms. What is left to see of a picture under noise
depends on the ratio of noise to signal, divided by the root of how many latents tell of it (Esser et al.,
arXiv:2403.03206, section 5.3.2, who derive the shift from it). So the perceptual strength s begins where

    sigma / (1 - sigma) = k(s) * sqrt(latents / (4 * 64 * 64)),

k(s) being the noise-to-signal ratio at which Stable Diffusion begins at strength s with its picture of 512 x 512
pixels. The flow's schedule, in which the share u of the steps begins at sigma / (1 - sigma) = shift * u / (1 - u), then
says how many steps that is. Plain data and arithmetic: importing this loads no torch.
"""

import functools
import math
from dataclasses import dataclass
from typing import Literal

StrengthCurve = Literal["steps", "perceptual"]
"""What `strength` is a share of: the steps, as everywhere by default, or of what there is to see."""

_TRAINED_STEPS = 1000
_FIRST_BETA, _LAST_BETA = 0.00085, 0.012
"""Of Stable Diffusion's training, whose roots are evenly spaced."""
_LATENTS_THERE = 4 * 64 * 64


@dataclass(frozen=True, kw_only=True)
class FlowLevels:
    """What a family of rectified flows makes of a picture, as its checkpoints are published."""

    channels: int = 16
    pixels_per_latent: int = 8
    shift: float | None = None
    """By which the scheduler multiplies ratios of noise to signal; None for one that grows with the picture as that of
    FLUX.1 dev does."""

    def shift_for(self, *, width_px: int, height_px: int) -> float:
        """The shift for pictures of a size."""
        if self.shift is not None:
            return self.shift
        patches = (width_px // (2 * self.pixels_per_latent)) * (height_px // (2 * self.pixels_per_latent))
        return math.exp(0.5 + (1.15 - 0.5) * (patches - 256) / (4096 - 256))


def perceptual_share(strength: float, levels: FlowLevels, *, width_px: int, height_px: int) -> float:
    """The share of the steps that a perceptual strength runs, 0 to 1; it rises with the strength.

    Args:
        strength: 0, which is the picture itself, to 1, which is nothing of it.
        levels: of the model's family.
        width_px: of the picture.
        height_px: of the picture.
    """
    if strength in (0.0, 1.0):
        return strength
    latents = (
        levels.channels * (width_px // levels.pixels_per_latent) * (height_px // levels.pixels_per_latent)
    )
    ratio = noise_to_signal(strength) * math.sqrt(latents / _LATENTS_THERE)
    return ratio / (ratio + levels.shift_for(width_px=width_px, height_px=height_px))


def noise_to_signal(strength: float) -> float:
    """Where Stable Diffusion begins at a strength above 0 and up to 1, between its timesteps in proportion."""
    ratios = _ratios()
    place = strength * _TRAINED_STEPS - 1.0
    if place <= 0.0:
        return ratios[0] * (place + 1.0)
    below = min(int(place), _TRAINED_STEPS - 2)
    return ratios[below] + (place - below) * (ratios[below + 1] - ratios[below])


@functools.cache
def _ratios() -> tuple[float, ...]:
    signal, ratios = 1.0, []
    first, last = math.sqrt(_FIRST_BETA), math.sqrt(_LAST_BETA)
    for step in range(_TRAINED_STEPS):
        signal *= 1.0 - (first + (last - first) * step / (_TRAINED_STEPS - 1)) ** 2
        ratios.append(math.sqrt((1.0 - signal) / signal))
    return tuple(ratios)
