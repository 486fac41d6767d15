"""Making room around a picture, for a model to fill."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True, kw_only=True)
class Margins:
    """Pixels to add on each side."""

    top_px: int = 0
    right_px: int = 0
    bottom_px: int = 0
    left_px: int = 0

    @property
    def added_width_px(self) -> int:
        """To both sides together."""
        return self.left_px + self.right_px

    @property
    def added_height_px(self) -> int:
        """Above and below together."""
        return self.top_px + self.bottom_px


def extend_image(image: Image.Image, margins: Margins) -> Image.Image:
    """An RGB image with margins that continue its edge pixels outward."""
    pixels = np.asarray(image, np.uint8)
    padding = ((margins.top_px, margins.bottom_px), (margins.left_px, margins.right_px), (0, 0))
    return Image.fromarray(np.pad(pixels, padding, mode="edge"))


def margin_mask(width_px: int, height_px: int, margins: Margins, *, blur_px: int = 0) -> Image.Image:
    """What of an extended image is to be painted: its margins (white), and not the image (black).

    Args:
        width_px: of the extended image.
        height_px: of the extended image.
        margins: that it was extended by.
        blur_px: how far the white fades out into the image, in a straight line. Without it the edge is hard.
    """
    columns = _depth(width_px, margins.left_px, margins.right_px)[None, :]
    rows = _depth(height_px, margins.top_px, margins.bottom_px)[:, None]
    # How deep a pixel lies inside of the image: 0 in the margins, at least 1 in the image.
    white = 255.0 * (1.0 - np.minimum(columns, rows) / (blur_px + 1.0))
    return Image.fromarray(np.clip(np.rint(white), 0, 255).astype(np.uint8))


def _depth(length: int, before: int, after: int) -> NDArray[np.float64]:
    """Pixels to the nearer margin along one axis; a side without a margin is infinitely far."""
    position = np.arange(length, dtype=np.float64)
    from_before = position - before + 1 if before else np.full(length, np.inf)
    from_after = length - after - position if after else np.full(length, np.inf)
    depth: NDArray[np.float64] = np.clip(np.minimum(from_before, from_after), 0, length)
    return depth
