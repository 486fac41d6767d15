"""Guide images of edges and lines, white on black, by OpenCV. No weights, and the same picture gives the same map."""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from underpaint.preprocessors.picture import Picture, gray_map

SHORTEST_LINE = 0.02
"""Of the picture's diagonal: shorter segments are texture, and no lines of a building."""


def canny(picture: Picture, *, low: int, high: int) -> Picture:
    """Edges of Canny's detector, one pixel wide.

    Args:
        picture: any.
        low: gradient from which on an edge goes on, 0 to 255.
        high: gradient from which on there is an edge, more than `low`.
    """
    return gray_map(cv2.Canny(picture, low, high))


def lineart(picture: Picture) -> Picture:
    """Lines that are darker than what surrounds them, as strong as they stand out.

    As ControlNet's "lineart standard": the picture against its own blur.
    """
    colors = picture.astype(np.float32)
    darker = np.clip(np.min(_blurred(colors, 6.0) - colors, axis=2), 0, 255)
    visible = darker[darker > 8]
    strength = max(16.0, float(np.median(visible))) if visible.size else 16.0
    return gray_map(np.clip(darker / strength * 127, 0, 255))


def lineart_anime(picture: Picture) -> Picture:
    """Clean lines of even strength, as of ink, and less of textures.

    A difference of Gaussians with a soft threshold (Winnemöller et al., "XDoG", 2012), of the picture without what an
    edge-preserving filter takes for texture.
    """
    flat: NDArray[Any] = picture
    for _ in range(3):
        flat = cv2.bilateralFilter(flat, 9, 40, 5)
    values = flat.astype(np.float32) / 255
    stands_out = np.max(_blurred(values, 1.6) - _blurred(values, 1.0), axis=2)
    return gray_map(np.tanh(25 * np.clip(stands_out - 0.01, 0, None)) * 255)


def scribble(picture: Picture) -> Picture:
    """Few, bold strokes, as drawn by hand.

    A difference of Gaussians that is either ink or nothing, without its specks.
    """
    diagonal = math.hypot(*picture.shape[:2])
    sigma = max(1.0, diagonal / 500)
    colors = picture.astype(np.float32)
    darker = np.max(_blurred(colors, 4 * sigma) - _blurred(colors, sigma), axis=2)
    strokes = cv2.morphologyEx((darker > 10).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(strokes)
    large = np.zeros(count, bool)
    large[1:] = statistics[1:, cv2.CC_STAT_AREA] >= (diagonal / 40) ** 2 / 2
    return gray_map(large[labels] * 255.0)


def softedge(picture: Picture) -> Picture:
    """Edges as strong as they stand out, wide and soft: gradients in the colours of Lab, over four scales."""
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)
    height, width = lab.shape[:2]
    total: NDArray[np.float32] = np.zeros((height, width), np.float32)
    # The wide scales on a smaller picture, for they take long on a large one.
    for factor, sigma in ((1, 1.0), (1, 2.0), (2, 2.0), (4, 2.0)):
        size = (max(1, width // factor), max(1, height // factor))
        blurred = _blurred(cv2.resize(lab, size, interpolation=cv2.INTER_AREA).astype(np.float32), sigma)
        slopes = np.hypot(cv2.Sobel(blurred, cv2.CV_32F, 1, 0), cv2.Sobel(blurred, cv2.CV_32F, 0, 1)).max(
            axis=2
        )
        # Wide ones count for more: what stands out at every scale is an edge, and no texture.
        weight = math.sqrt(factor * sigma) / factor
        total += cv2.resize(slopes, (width, height), interpolation=cv2.INTER_LINEAR) * weight
    strongest = max(float(np.percentile(total, 99)), 100.0)
    return gray_map(np.clip(total / strongest, 0, 1) ** 1.5 * 255)


def straight_lines(picture: Picture) -> Picture:
    """Straight segments, one pixel wide: LSD (Grompone von Gioi et al., 2012)."""
    found = cv2.createLineSegmentDetector().detect(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))[0]
    drawn = np.zeros(picture.shape[:2], np.uint8)
    shortest = SHORTEST_LINE * math.hypot(*drawn.shape)
    segments = np.empty((0, 4)) if found is None else np.reshape(found, (-1, 4))  # type: ignore[redundant-expr]
    for x0, y0, x1, y1 in segments.tolist():
        if math.hypot(x1 - x0, y1 - y0) >= shortest:
            cv2.line(drawn, (round(x0), round(y0)), (round(x1), round(y1)), 255)
    return gray_map(drawn)


def _blurred(values: NDArray[Any], sigma: float) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(values.astype(np.float32, copy=False), (0, 0), sigma), np.float32)
