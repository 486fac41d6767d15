"""Zooming in on what a mask paints: cut it out with a margin, work on it at full size, put it back.

A face of sixty pixels is seven latents wide, which is too few to draw it well. Cut out and enlarged to the size of the
whole picture it gets all of the latents, and the model sees the margin around it.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from underpaint.diffusion.encoded import Picture
from underpaint.diffusion.masking import FAINTEST, Mask


@dataclass(frozen=True, kw_only=True)
class MaskCrop:
    """A part of a picture, in pixels."""

    left_px: int
    top_px: int
    width_px: int
    height_px: int

    @classmethod
    def around(cls, mask: Mask, margin_px: int) -> "MaskCrop | None":
        """The part that holds everything painted and `margin_px` around it, in the shape of the whole picture.

        A margin that the picture has no room for is left out on that side; what is added to give the part the
        picture's shape lies on both sides, as far as there is room.

        Returns:
            None if the mask paints nothing, or the part would be the whole picture.
        """
        height, width = mask.shape
        rows = np.flatnonzero((mask >= FAINTEST).any(axis=1))
        columns = np.flatnonzero((mask >= FAINTEST).any(axis=0))
        if not len(rows):
            return None
        left, right = max(0, int(columns[0]) - margin_px), min(width, int(columns[-1]) + 1 + margin_px)
        top, bottom = max(0, int(rows[0]) - margin_px), min(height, int(rows[-1]) + 1 + margin_px)
        scale = max((right - left) / width, (bottom - top) / height)
        # Rounded up, so that the margins stay whole.
        part_width, part_height = (
            min(width, int(np.ceil(scale * width))),
            min(height, int(np.ceil(scale * height))),
        )
        if (part_width, part_height) == (width, height):
            return None
        return cls(
            left_px=_shifted(left, right, part_width, width),
            top_px=_shifted(top, bottom, part_height, height),
            width_px=part_width,
            height_px=part_height,
        )

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom."""
        return self.left_px, self.top_px, self.left_px + self.width_px, self.top_px + self.height_px

    def enlarge(self, picture: Picture) -> Picture:
        """The part of a picture, at the size of the whole."""
        height, width = picture.shape[:2]
        enlarged = Image.fromarray(picture).crop(self.box).resize((width, height), Image.Resampling.LANCZOS)
        return np.asarray(enlarged, np.uint8)

    def enlarge_mask(self, mask: Mask) -> Mask:
        """The part of a mask, at the size of the whole. Bilinear, which has no overshoot: black stays black."""
        height, width = mask.shape
        enlarged = Image.fromarray(mask).crop(self.box).resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(enlarged, np.uint8)

    def put_back(self, painted: Picture, picture: Picture) -> Picture:
        """The picture with what was painted, at the size of the whole, in the place of the part."""
        part = Image.fromarray(painted).resize((self.width_px, self.height_px), Image.Resampling.LANCZOS)
        whole = picture.copy()
        left, top, right, bottom = self.box
        whole[top:bottom, left:right] = np.asarray(part, np.uint8)
        return whole


def _shifted(begin: int, end: int, length: int, limit: int) -> int:
    """Where a stretch of that length begins that has `begin` to `end` in its middle, or as near as the limit allows."""
    return min(max(0, (begin + end - length) // 2), limit - length)
