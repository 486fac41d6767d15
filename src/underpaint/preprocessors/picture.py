"""What preprocessors take and give."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""Height x width x 3, sRGB."""


def as_picture(values: NDArray[Any]) -> Picture:
    """Height x width x 3, 0 to 255, as a picture."""
    return np.ascontiguousarray(np.rint(values).astype(np.uint8))


def gray_map(values: NDArray[Any]) -> Picture:
    """A map of height x width, 0 to 255, as a picture."""
    return as_picture(np.repeat(values[..., None], 3, axis=2))
