"""Guide images that are the picture itself, without its detail or without its composition."""

import cv2
import numpy as np

from underpaint.preprocessors.picture import Picture, as_picture

TILE_FACTOR = 8
"""By which the picture is made smaller and larger again: ControlNet's tile models redraw what is lost."""
SHUFFLE_CELL_PX = 256
"""Distance over which pixels are moved alike."""
_SHUFFLE_SEED = 0


def tile(picture: Picture) -> Picture:
    """The picture without its detail: an eighth of its size, enlarged again."""
    height, width = picture.shape[:2]
    small = (max(1, round(width / TILE_FACTOR)), max(1, round(height / TILE_FACTOR)))
    shrunk = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    return as_picture(cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_CUBIC))


def shuffle(picture: Picture) -> Picture:
    """The picture's colours and textures without its composition: every pixel is taken from where a smooth random
    field says. The field depends on the size alone, so the same picture always gives the same map.
    """
    height, width = picture.shape[:2]
    random = np.random.default_rng(_SHUFFLE_SEED)
    columns = _field(random, height, width) * (width - 1)
    rows = _field(random, height, width) * (height - 1)
    return as_picture(cv2.remap(picture, columns, rows, cv2.INTER_LINEAR))


def _field(
    random: np.random.Generator, height: int, width: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Smooth noise from 0 to 1."""
    cells = random.random((height // SHUFFLE_CELL_PX + 3, width // SHUFFLE_CELL_PX + 3), dtype=np.float32)
    size = (width + 2 * SHUFFLE_CELL_PX, height + 2 * SHUFFLE_CELL_PX)
    smooth = cv2.resize(cells, size, interpolation=cv2.INTER_CUBIC)
    smooth = smooth[SHUFFLE_CELL_PX : SHUFFLE_CELL_PX + height, SHUFFLE_CELL_PX : SHUFFLE_CELL_PX + width]
    low, high = float(smooth.min()), float(smooth.max())
    field: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = (smooth - low) / max(high - low, 1e-6)
    return field
