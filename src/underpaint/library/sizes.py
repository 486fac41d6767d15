"""The size of a picture of which a width, a height, both or neither was asked for."""

import math

from PIL import Image

from underpaint.catalog import ModelEntry

SIDE_MULTIPLE_PX = 64
SMALLEST_SIDE_PX, LARGEST_SIDE_PX = 128, 2048


def size_of(
    image: Image.Image | None, entry: ModelEntry, width: int | None, height: int | None
) -> tuple[int, int]:
    """Width and height of the picture in pixels: as asked for, and otherwise the photo's shape at about the model's
    number of pixels.

    Raises:
        ValueError: a side that is asked for, or that follows from it, is not one that a model can draw at.
    """
    defaults = entry.defaults
    shape = (defaults.width_px, defaults.height_px) if image is None else image.size
    if width is None:
        if height is None:
            return _nearest_size(shape[0] / shape[1], defaults.width_px * defaults.height_px)
        width = _side(height * shape[0] / shape[1])
    elif height is None:
        height = _side(width * shape[1] / shape[0])
    for name, side in (("width", width), ("height", height)):
        if side % SIDE_MULTIPLE_PX or not SMALLEST_SIDE_PX <= side <= LARGEST_SIDE_PX:
            raise ValueError(
                f"{name} must be a multiple of {SIDE_MULTIPLE_PX} from {SMALLEST_SIDE_PX} to {LARGEST_SIDE_PX}, "
                f"not {side}"
            )
    return width, height


def _nearest_size(aspect: float, area_px: int) -> tuple[int, int]:
    """The allowed size that distorts a picture of that aspect ratio least, at about that number of pixels."""
    sides = range(SMALLEST_SIDE_PX, LARGEST_SIDE_PX + 1, SIDE_MULTIPLE_PX)
    # A change of shape is seen, a change of size hardly: it weighs a tenth.
    return min(
        ((width, height) for width in sides for height in sides),
        key=lambda size: (
            abs(math.log(size[0] / size[1] / aspect)) + 0.1 * abs(math.log(size[0] * size[1] / area_px))
        ),
    )


def _side(pixels: float) -> int:
    nearest = round(pixels / SIDE_MULTIPLE_PX) * SIDE_MULTIPLE_PX
    return min(LARGEST_SIDE_PX, max(SMALLEST_SIDE_PX, nearest))
