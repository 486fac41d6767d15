"""What each task does: resolve its pictures, write it down, hand its jobs to the engine, store what comes out."""

from underpaint.studio.caller import Caller, Item, Reply
from underpaint.studio.studio import Studio, StudioStatus, open_studio

__all__ = ["Caller", "Item", "Reply", "Studio", "StudioStatus", "open_studio"]
