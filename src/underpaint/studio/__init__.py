"""What each task does: resolve its pictures, write it down, hand its jobs to the engine, store what comes out."""

from underpaint.studio.caller import Caller, Item, Reply
from underpaint.studio.cancellation import Cancellation
from underpaint.studio.progress import OnProgress
from underpaint.studio.studio import Studio, StudioStatus, open_studio

__all__ = ["Caller", "Cancellation", "Item", "OnProgress", "Reply", "Studio", "StudioStatus", "open_studio"]
