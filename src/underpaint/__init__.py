"""Underpaint: image-to-image on your own machine, as a library and as a server that speaks the Runware task API.

import underpaint

[result] = underpaint.transform("photo.jpg", "watercolor painting", strength=0.6)
result.save("painting.png")
"""

from typing import TYPE_CHECKING, Any

from underpaint.version import __version__

if TYPE_CHECKING:
    from underpaint.library import Control, Guide, Painter, Progress, Transformed, TransformFailed, transform

__all__ = [
    "Control",
    "Guide",
    "Painter",
    "Progress",
    "TransformFailed",
    "Transformed",
    "__version__",
    "transform",
]


def __getattr__(name: str) -> Any:
    # The server's modules must not load the library's, and `underpaint --help` must not load either.
    if name in __all__:
        from underpaint import library

        return getattr(library, name)
    raise AttributeError(f"module 'underpaint' has no attribute {name!r}")
