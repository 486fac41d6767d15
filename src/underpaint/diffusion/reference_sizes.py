"""Sizes in which editing models see their reference images. Loads no torch."""

import math

SIZES_PX = (
    (672, 1568),
    (688, 1504),
    (720, 1456),
    (752, 1392),
    (800, 1328),
    (832, 1248),
    (880, 1184),
    (944, 1104),
    (1024, 1024),
    (1104, 944),
    (1184, 880),
    (1248, 832),
    (1328, 800),
    (1392, 752),
    (1456, 720),
    (1504, 688),
    (1568, 672),
)
"""Width and height: those that FLUX.1 Kontext was trained in, as Black Forest Labs publish them."""
LARGEST_PIXELS = max(width * height for width, height in SIZES_PX)
_USUAL_SIDE_PX = 1024
_MULTIPLE_PX = 16


def reference_size(width_px: int, height_px: int, *, side_px: int) -> tuple[int, int]:
    """Width and height in which a model is shown a picture: of those it learned, the nearest in proportion.

    Args:
        width_px: of the picture.
        height_px: of the picture.
        side_px: of the square that the model was trained for; sizes are smaller or larger along with it.
    """
    _, width, height = min((abs(width_px / height_px - each[0] / each[1]), *each) for each in SIZES_PX)
    scale = min(1.0, side_px / _USUAL_SIDE_PX)
    return _scaled(width, scale), _scaled(height, scale)


def _scaled(side: int, scale: float) -> int:
    return max(_MULTIPLE_PX, math.floor(side * scale / _MULTIPLE_PX) * _MULTIPLE_PX)
