"""Maps that lay a result out, for the library face."""

from dataclasses import dataclass

from underpaint.library.guide import Photo
from underpaint.wire import ControlMode


@dataclass(frozen=True, kw_only=True)
class Control:
    """A map of edges, depth or the like that a result follows, and the ControlNet that reads it."""

    model: str
    """AIR identifier of the ControlNet, of the family of the model."""
    photo: Photo
    """The map as the ControlNet knows it, such as white edges on black."""
    weight: float = 1.0
    """How strongly it acts, 0 to 1."""
    start: float = 0.0
    """Share of the steps that run before it acts, 0 to 1."""
    end: float = 1.0
    """Share of the steps after which it does not act any more, above `start` and up to 1."""
    mode: ControlMode = "balanced"
    """What counts for more: the prompt, the map ("controlnet"), or neither."""
