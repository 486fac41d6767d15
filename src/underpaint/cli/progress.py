"""A progress bar for pictures in the making."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from underpaint.cli.console import errors

if TYPE_CHECKING:
    from underpaint import Progress


class StepBar:
    """Counts the steps of several pictures in one bar on the standard error stream; nothing where that is a file.

    Args:
        pictures: how many pictures will be made.
    """

    def __init__(self, pictures: int) -> None:
        self._pictures = pictures
        self._seen: dict[int, tuple[int, int]] = {}
        self._started_s = time.monotonic()
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps"),
            TimeElapsedColumn(),
            console=errors,
            transient=True,
            disable=not errors.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the bar was made."""
        return time.monotonic() - self._started_s

    def __call__(self, progress: "Progress") -> None:
        """Show how far one of the pictures is."""
        if progress.stage == "loading" and not self._seen:
            self._bar.update(self._task, description="loading the model")
            return
        self._seen[progress.result] = (progress.step, progress.steps)
        unseen = self._pictures - len(self._seen)
        known = [steps for _, steps in self._seen.values()]
        done = sum(step == steps for step, steps in self._seen.values())
        self._bar.update(
            self._task,
            description=f"{done} of {self._pictures} pictures" if self._pictures > 1 else "transforming",
            completed=sum(step for step, _ in self._seen.values()),
            total=sum(known) + unseen * max(known),
        )
