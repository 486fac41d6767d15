"""What went wrong lately."""

import time
from collections import deque
from collections.abc import Callable

from underpaint.studio.caller import Item, Reply

MOST_KEPT = 100


class Mishaps:
    """The latest errors that tasks were answered with, without what was asked: a prompt is its owner's affair.

    Args:
        clock: Unix time, in seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._kept: deque[dict[str, object]] = deque(maxlen=MOST_KEPT)

    def note(self, reply: Reply) -> None:
        """Keep the errors of a reply. The same one again, as a client that polls gets it, is kept once."""
        for status_code, error in reply.errors:
            kept = {
                name: error[name] for name in ("code", "message", "taskType", "taskUUID") if name in error
            }
            if not any(kept.items() <= earlier.items() for earlier in self._kept):
                self._kept.append({"time": round(self._clock(), 3), "status": status_code, **kept})

    def items(self) -> list[Item]:
        """What is kept, the newest first."""
        return list(reversed(self._kept))
