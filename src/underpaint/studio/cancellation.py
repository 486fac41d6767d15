"""The wish that a task ends before it is finished."""

from collections.abc import Callable

CANCELLED = "the task was cancelled"
"""What its caller is told."""


class Cancellation:
    """Can be requested at any time of a task's life, also while there is nothing yet that could be stopped."""

    def __init__(self) -> None:
        self.requested = False
        self._stop: Callable[[], object] | None = None

    def request(self) -> None:
        """End the task. Does nothing when it is over."""
        self.requested = True
        if self._stop is not None:
            self._stop()

    def stops(self, stop: Callable[[], object]) -> None:
        """Say what ends the task from now on; it is called at once where the wish came earlier.

        Args:
            stop: may be called several times, and after it has nothing to stop any more.
        """
        self._stop = stop
        if self.requested:
            stop()
