"""A task that is being worked on, and how far it is."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from underpaint.engine.messages import JobRequest, PreprocessRequest, Progress
from underpaint.studio.cancellation import Cancellation
from underpaint.studio.journal import TaskRecord
from underpaint.studio.room import Place
from underpaint.wire import TaskError


class Run:
    """An accepted task, until it has its outcome."""

    def __init__(
        self,
        record: TaskRecord,
        jobs: Sequence[JobRequest] | Sequence[PreprocessRequest],
        cancellation: Cancellation,
        place: Place,
        *,
        awaited: bool,
        positions: tuple[int, ...] | None = None,
    ) -> None:
        """Begin with nothing done.

        Args:
            record: the task.
            jobs: one for each of its pictures.
            cancellation: ends it.
            place: its place in the queue.
            positions: of the jobs' pictures among those of the task; None for all of them in order. Those that an
                earlier attempt made are not made again.
            awaited: whether a caller waits for its outcome.
        """
        self.record = record
        self.jobs: tuple[JobRequest | PreprocessRequest, ...] = tuple(jobs)
        self.positions = tuple(range(len(jobs))) if positions is None else positions
        self.cancellation = cancellation
        self.place = place
        self.finished = asyncio.Event()
        """Set when the task has its outcome, in the journal too unless that cannot be written to."""
        self.answered = asyncio.Event()
        """Set when nobody waits for its outcome, or not any more."""
        if not awaited:
            self.answered.set()
        self.moved = asyncio.Event()
        """Set when something has happened to one of its jobs; whoever waits for it clears it."""
        self.outcome: TaskRecord | None = None
        """The task with its results, if it was a success, as the journal has it."""
        self.error: TaskError | None = None
        """Why the task has failed, while the journal cannot be told; who asks is told meanwhile."""
        self.interrupted = False
        """Whether the server stopped before the task had an outcome; it goes on after a restart."""
        self.progress: dict[str, Progress] = {}
        """The latest of each job that the engine has begun, with the latest preview that there was."""
        self._done: set[str] = set()

    def note(self, progress: Progress) -> None:
        """Take in how far a job is."""
        former = self.progress.get(progress.job_id)
        if progress.preview is None and former is not None:
            progress = replace(progress, preview=former.preview)
        self.progress[progress.job_id] = progress
        self.moved.set()

    def note_done(self, job_id: str) -> None:
        """Take in that the engine has no more to do for a job."""
        if job_id not in self._done:
            self._done.add(job_id)
            self.place.result_done()
        self.moved.set()

    @property
    def over(self) -> bool:
        """Whether the engine has no more to do for it. Its pictures may still be on their way to the disk."""
        return self.finished.is_set() or len(self._done) == len(self.jobs)

    @property
    def unfinished(self) -> list[tuple[int, JobRequest | PreprocessRequest]]:
        """The jobs that the engine still has to do, each with the position of its result."""
        return [(index, job) for index, job in enumerate(self.jobs) if job.job_id not in self._done]

    @property
    def percent(self) -> int:
        """Share of the work that is done, 0 to 99."""
        if not self.jobs:
            # All its pictures were made before a restart; what is left is to say so.
            return 99
        done = sum(1.0 if job.job_id in self._done else self._share(job.job_id) for job in self.jobs)
        return min(99, int(100 * done / len(self.jobs)))

    @property
    def waiting(self) -> int:
        """Jobs that the engine has not begun."""
        return sum(job.job_id not in self.progress for _, job in self.unfinished)

    @property
    def running(self) -> int:
        """Jobs that the engine has begun and not finished."""
        return sum(job.job_id in self.progress for _, job in self.unfinished)

    def _share(self, job_id: str) -> float:
        progress = self.progress.get(job_id)
        return 0.0 if progress is None else progress.step / max(1, progress.steps)
