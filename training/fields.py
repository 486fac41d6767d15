"""Random fields and small image operations that scenes, styles and weather are made of.

Pictures are ``uint8`` RGB arrays of shape ``(height, width, 3)``; fields are ``float32`` arrays of shape
``(height, width)`` (or float64 where numpy makes them so). Every random choice comes from the
``numpy.random.Generator`` that the caller passes.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Field = NDArray[np.floating[Any]]
Float = NDArray[np.floating[Any]]

cv2.setNumThreads(1)

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def to_picture(values: NDArray[np.floating]) -> Picture:
    """Clip to 0..255 and round down to bytes."""
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def gray(picture: NDArray[np.generic]) -> Field:
    """Luma of a picture, 0..255."""
    return np.asarray(picture.astype(np.float32) @ LUMA, np.float32)


def blur(values: NDArray[np.generic], sigma_px: float) -> Float:
    """Gaussian blur as float32."""
    return np.asarray(cv2.GaussianBlur(values.astype(np.float32), (0, 0), sigma_px), np.float32)


def smooth(picture: Picture, diameter_px: int = 7, tone: float = 45.0) -> Picture:
    """Bilateral filter: flat areas become flat, edges stay."""
    return np.asarray(cv2.bilateralFilter(picture, diameter_px, tone, diameter_px), np.uint8)


def saturate(picture: NDArray[np.generic], factor: float) -> Picture:
    """Scale the distance of every pixel from its own gray."""
    level = gray(picture)[..., None]
    return to_picture(level + (picture.astype(np.float32) - level) * factor)


def noise(rng: np.random.Generator, height: int, width: int, scale_px: float) -> Field:
    """Smooth Gaussian noise whose features are about ``scale_px`` wide, unit deviation at the lattice."""
    lattice = rng.standard_normal((max(2, int(height / scale_px) + 2), max(2, int(width / scale_px) + 2)))
    grown = cv2.resize(lattice.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(grown, np.float32)


def cloud(
    rng: np.random.Generator, height: int, width: int, scale_px: float = 64.0, octaves: int = 4
) -> Field:
    """Fractal noise: ``octaves`` layers, each half as wide and half as strong as the one before."""
    layers = [noise(rng, height, width, max(1.0, scale_px / 2**k)) * 0.5**k for k in range(octaves)]
    return np.asarray(sum(layers), np.float32)


def grid(height: int, width: int) -> tuple[Field, Field]:
    """Row and column index of every pixel."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return rows, columns


def resample(values: NDArray[np.generic], rows: Field, columns: Field) -> Float:
    """Values at fractional positions, mirrored at the border."""
    found = cv2.remap(
        values.astype(np.float32), columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(found, np.float32)


def wobble(
    rng: np.random.Generator, picture: NDArray[np.generic], amount_px: float, scale_px: float
) -> Float:
    """Shift every pixel a little along smooth noise, as an unsteady hand does."""
    height, width = picture.shape[:2]
    rows, columns = grid(height, width)
    dy, dx = noise(rng, height, width, scale_px), noise(rng, height, width, scale_px)
    return resample(picture, rows + dy * amount_px, columns + dx * amount_px)


def flatten_tones(picture: Picture, radius_px: float, levels: int) -> Picture:
    """Each pixel takes the mean color of the commonest tone around it (an oil filter with soft windows)."""
    tone = (gray(picture).astype(np.int32) * levels) // 256
    values = picture.astype(np.float32)
    best = np.full(tone.shape, -1.0, np.float32)
    result = values.copy()
    sigma_px = radius_px * 0.6
    for level in range(levels):
        inside = (tone == level).astype(np.float32)
        weight = blur(inside, sigma_px)
        mean = blur(values * inside[..., None], sigma_px) / np.maximum(weight, 1e-4)[..., None]
        wins = weight > best
        best = np.where(wins, weight, best)
        result = np.where(wins[..., None], mean, result)
    return to_picture(result)


def flow(picture: NDArray[np.generic], sigma_px: float = 3.0) -> tuple[Field, Field]:
    """Unit vectors along the edges of a picture (the structure tensor's minor axis) as (dy, dx)."""
    level = blur(gray(picture), 1.0)
    gx = cv2.Sobel(level, cv2.CV_32F, 1, 0)
    gy = cv2.Sobel(level, cv2.CV_32F, 0, 1)
    xx, xy, yy = blur(gx * gx, sigma_px), blur(gx * gy, sigma_px), blur(gy * gy, sigma_px)
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2
    return np.sin(angle).astype(np.float32), np.cos(angle).astype(np.float32)


def smear(values: NDArray[np.generic], dy: Field, dx: Field, steps: int) -> Float:
    """Average along straight lines of ``steps`` pixels each way in direction (dy, dx)."""
    height, width = values.shape[:2]
    rows, columns = grid(height, width)
    total = values.astype(np.float32).copy()
    for step in range(1, steps + 1):
        total += resample(values, rows + dy * step, columns + dx * step)
        total += resample(values, rows - dy * step, columns - dx * step)
    return np.asarray(total / (2 * steps + 1), np.float32)


def slanted_grain(rng: np.random.Generator, height: int, width: int, angle: float, steps: int) -> Field:
    """Noise smeared along one direction: hatching, streaks of rain, wood."""
    dy = np.full((height, width), np.sin(angle), np.float32)
    dx = np.full((height, width), np.cos(angle), np.float32)
    return smear(noise(rng, height, width, 1.2), dy, dx, steps)


def paper(rng: np.random.Generator, height: int, width: int, strength: float) -> Field:
    """Grain of rough paper, zero mean."""
    return (noise(rng, height, width, 1.2) + noise(rng, height, width, 2.5)) * np.float32(0.6 * strength)


def gradient_map(level: Field, colors: list[tuple[int, int, int]]) -> Float:
    """Replace gray levels (0..255) by a ramp through ``colors``."""
    stops = np.linspace(0, 255, len(colors))
    return np.stack([np.interp(level, stops, [c[k] for c in colors]) for k in range(3)], -1).astype(
        np.float32
    )


def local_contrast(level: Field, limit: float, tiles: int = 4) -> Field:
    """Contrast-limited adaptive histogram equalisation of a gray field."""
    equalised = cv2.createCLAHE(limit, (tiles, tiles)).apply(to_picture(level))
    return np.asarray(equalised, np.float32)


def outlines(picture: Picture, width_px: float, tau: float, sharpness: float) -> Field:
    """Ink lines as a difference of Gaussians: 0 on a line, 1 elsewhere."""
    level = gray(smooth(picture, 7, 50)) / np.float32(255)
    difference = blur(level, width_px) - tau * blur(level, width_px * 1.65)
    return np.asarray(np.clip(difference * sharpness + 1, 0, 1), np.float32)


def repeat_gray(level: Field) -> Float:
    """A gray field as three equal channels."""
    return np.repeat(level[..., None], 3, 2)
