"""When unfinished pictures will be done, and in which order."""

import time
from collections.abc import Callable, Collection, Mapping

from underpaint.engine.process import EngineProcess
from underpaint.studio.run import Run

ORDER_AGE_S = 0.1
"""For so long an order that was worked out counts for all who ask."""


class Outlook:
    """What the engine's estimates say of each task."""

    def __init__(self, engine: EngineProcess, runs: Callable[[], Collection[Run]]) -> None:
        """Look ahead.

        Args:
            engine: has the estimates.
            runs: gives the tasks that are being worked on, in the order in which they were accepted.
        """
        self._engine = engine
        self._runs = runs
        self._ahead: Mapping[str, int] = {}
        self._ahead_s = float("-inf")

    def position(self, job_id: str) -> int:
        """Pictures that will be done before a job's: by their estimates, or in the order of acceptance.

        The engine does short jobs first, so that the number can also grow.
        """
        if time.monotonic() - self._ahead_s > ORDER_AGE_S or job_id not in self._ahead:
            unfinished = [job.job_id for run in self._runs() for _, job in run.unfinished]
            unfinished.sort(key=self._sooner)
            self._ahead = {each: ahead for ahead, each in enumerate(unfinished)}
            self._ahead_s = time.monotonic()
        return self._ahead[job_id]

    def seconds_left(self, job_id: str) -> float | None:
        """Until a picture is done; None while there is no estimate."""
        return self._engine.seconds_left(job_id)

    def task_seconds_left(self, run: Run) -> float | None:
        """Until the last picture of a task is done; None while there is no estimate of one of them."""
        latest = 0.0
        for _, job in run.unfinished:
            seconds = self._engine.seconds_left(job.job_id)
            if seconds is None:
                return None
            latest = max(latest, seconds)
        return latest

    def _sooner(self, job_id: str) -> float:
        seconds = self._engine.seconds_left(job_id)
        return float("inf") if seconds is None else seconds
