"""The library face: pictures in, pictures out, in this process and without a server."""

from underpaint.library.control import Control
from underpaint.library.guide import Guide
from underpaint.library.painter import Painter, transform
from underpaint.library.transformed import Progress, Transformed, TransformFailed

__all__ = ["Control", "Guide", "Painter", "Progress", "TransformFailed", "Transformed", "transform"]
