"""The parent's side of the preprocessors: a process of their own, which is there while there is something for it to do.

It is not the engine's, so that no picture waits for a guide image and none is lost with one: a request that takes too
long, or is cancelled, ends with its process, and the next one gets another. One request runs at a time. The owners take
turns.
"""

import asyncio
import atexit
import logging
import multiprocessing
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from underpaint.blocking import in_thread
from underpaint.engine.messages import Failed, FailureCode, Finished, PreprocessRequest, Progress
from underpaint.engine.preprocessor_worker import run_preprocessors
from underpaint.engine.threads import let_threads_sleep

log = logging.getLogger(__name__)

LIMIT_S = 300.0
"""Seconds that one guide image may take, with the loading of its networks."""
IDLE_S = 120.0
"""Seconds without a request after which the process leaves, with all that it has loaded."""


class _Waiting:
    def __init__(self, request: PreprocessRequest, on_progress: Callable[[Progress], None]) -> None:
        self.request = request
        self.on_progress = on_progress
        self.outcome: asyncio.Future[Finished | Failed] = asyncio.get_running_loop().create_future()

    def resolve(self, outcome: Finished | Failed) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def fail(self, code: FailureCode, message: str) -> None:
        self.resolve(Failed(job_id=self.request.job_id, code=code, message=message))


class PreprocessorProcess:
    """Makes guide images. All methods belong to one event loop.

    Args:
        threads: CPU threads; None for one for each core.
        limit_s: seconds that one guide image may take.
        idle_s: seconds without a request after which the process leaves.
    """

    def __init__(
        self, *, threads: int | None = None, limit_s: float = LIMIT_S, idle_s: float = IDLE_S
    ) -> None:
        self._threads = threads
        self._limit_s = limit_s
        self._idle_s = idle_s
        self._waiting: OrderedDict[str, deque[_Waiting]] = OrderedDict()
        """By owner; the first is the next whose turn it is."""
        self._current: _Waiting | None = None
        self._child: _Child | None = None
        self._serving: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._stopping = False

    def submit(
        self,
        requests: Sequence[PreprocessRequest],
        *,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> list[asyncio.Future[Finished | Failed]]:
        """Hand requests over; see `EngineProcess.submit`."""
        jobs = [_Waiting(request, on_progress) for request in requests]
        for job in jobs:
            if self._stopping:
                job.fail("stopping", "the server is stopping")
            else:
                self._waiting.setdefault(job.request.owner, deque()).append(job)
        if not self._stopping and self._serving is None:
            self._serving = asyncio.create_task(self._serve(), name="preprocessors")
        self._news.set()
        return [job.outcome for job in jobs]

    def cancel(self, job_ids: Sequence[str]) -> None:
        """End requests, at once; they fail with the code "cancelled". Unknown ones are ignored."""
        for job in self._unfinished():
            if job.request.job_id in job_ids:
                job.fail("cancelled", "the task was cancelled")
                if job is self._current:
                    self.kill()

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._child is not None

    def kill(self) -> None:
        """End the process as a crash does. The next request gets another."""
        if self._child is not None:
            self._child.kill()

    async def stop(self) -> None:
        """End the process. Requests that are not finished fail with the code "stopping"."""
        self._stopping = True
        for job in self._unfinished():
            job.fail("stopping", "the server is stopping")
        self.kill()
        self._news.set()
        if self._serving is not None:
            await self._serving

    def _unfinished(self) -> list[_Waiting]:
        current = [] if self._current is None else [self._current]
        return [*current, *(job for jobs in self._waiting.values() for job in jobs)]

    def _next(self) -> _Waiting | None:
        while self._waiting:
            owner, jobs = self._waiting.popitem(last=False)
            job = jobs.popleft()
            if jobs:
                self._waiting[owner] = jobs
            if not job.outcome.done():
                return job
        return None

    async def _serve(self) -> None:
        """Make what is asked for, until there has been nothing for a while."""
        try:
            while not self._stopping:
                self._news.clear()
                self._current = self._next()
                if self._current is not None:
                    await self._make(self._current)
                    self._current = None
                    continue
                try:
                    async with asyncio.timeout(self._idle_s):
                        await self._news.wait()
                except TimeoutError:
                    # Something may have come in the same moment.
                    if not self._waiting:
                        break
        finally:
            # Before anything is waited for: what comes from now on starts another.
            self._serving = None
            child, self._child = self._child, None
            if child is not None:
                await in_thread(child.end)

    async def _make(self, job: _Waiting) -> None:
        job.on_progress(Progress(job_id=job.request.job_id, stage="running", step=0, steps=0))
        try:
            if self._child is None:
                self._child = _Child(self._threads)
            outcome = await self._child.exchange(job.request, self._limit_s)
        except Exception as failure:
            log.exception("the preprocessors' process could not be asked")
            job.fail("failed", f"the guide image could not be made: {failure}")
            return
        if isinstance(outcome, Finished | Failed):
            job.resolve(outcome)
            return
        child, self._child = self._child, None
        await in_thread(child.end)
        if outcome == "late":
            log.error("guide image %s took more than %g s", job.request.job_id, self._limit_s)
            job.fail("failed", f"the guide image was not ready after {self._limit_s:g} s")
        elif not job.outcome.done():
            log.error("the preprocessors' process ended while it worked on %s", job.request.job_id)
            job.fail("crashed", "the process died that was making this guide image")


class _Child:
    """One process, and the thread that talks to it."""

    def __init__(self, threads: int | None) -> None:
        let_threads_sleep()
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        level = logging.getLogger("underpaint").getEffectiveLevel()
        self._process = context.Process(
            target=run_preprocessors,
            args=(theirs, threads, level),
            name="underpaint-preprocessors",
            daemon=True,
        )
        self._process.start()
        # Should this process leave without `end`: the child heeds no signal but this one.
        atexit.register(self.kill)
        theirs.close()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="preprocessors")

    async def exchange(self, request: PreprocessRequest, limit_s: float) -> Finished | Failed | str:
        """The outcome of a request; "late" or "dead" if there is none."""

        def talk() -> Finished | Failed | str:
            try:
                self._connection.send(request)
                if not self._connection.poll(limit_s):
                    return "late"
                outcome: Finished | Failed = self._connection.recv()
                return outcome
            except (EOFError, OSError):
                return "dead"

        return await asyncio.get_running_loop().run_in_executor(self._thread, talk)

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> None:
        """End the process. Blocks for a moment."""
        self._process.kill()
        self._process.join()
        atexit.unregister(self.kill)
        self._connection.close()
        self._thread.shutdown()
