"""The parent's side of the engine: starts its process, watches it, and starts another when it dies.

Jobs that had begun in a process that died are suspected to be the cause. The next process is given one of them at a
time: one that gets past the step at which the other process died is no suspect any more, and one that is there when it
happens again is the cause, and fails.
"""

import asyncio
import atexit
import logging
import multiprocessing
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Literal

from underpaint.blocking import in_thread
from underpaint.engine.messages import (
    Cancel,
    Command,
    EngineOptions,
    Estimates,
    Event,
    Failed,
    Finished,
    JobRequest,
    Progress,
    Ready,
    Stop,
    Submit,
    Vitals,
)
from underpaint.engine.threads import let_threads_sleep
from underpaint.engine.worker import run_worker

log = logging.getLogger(__name__)

Outcome = Finished | Failed

FAILED_STARTS = 3
"""Processes in a row that may die before they are ready until waiting jobs are failed rather than kept waiting."""
PROCESSES: BaseContext = multiprocessing.get_context("spawn")
"""How processes come about: nothing of this one, which has threads and open connections, goes along."""
FIRST_RESTART_DELAY_S = 0.1
LONGEST_RESTART_DELAY_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Doings:
    """What the engine's processes have done so far, and how the present one is."""

    passes: Mapping[int, int] = field(default_factory=dict)
    """Forward passes by their rows."""
    pass_seconds: float = 0.0
    memory_bytes: int = 0
    """Of the process, or on a GPU what it holds there; 0 until it has said so."""
    models: tuple[str, ...] = ()
    """Names of those in memory."""


class _Running:
    """A job that was handed over and has no outcome yet."""

    def __init__(self, request: JobRequest, on_progress: Callable[[Progress], None]) -> None:
        self.request = request
        self.on_progress = on_progress
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.steps_done: int | None = None
        """In the present process; None where it has not begun."""
        self.died_after: int | None = None
        """Steps that it had done when its process died, where it is a suspect for that."""

    @property
    def is_suspect(self) -> bool:
        """Whether it may be what a process died of."""
        return self.died_after is not None and not self.outcome.done()


class EngineProcess:
    """A supervised engine. All methods belong to one event loop."""

    def __init__(self, options: EngineOptions, *, stall_s: float = 600.0) -> None:
        """Lay it out; `start` brings it up.

        Args:
            options: how the engine runs.
            stall_s: seconds without a sign of life after which a process with work to do is killed and replaced.
        """
        self._options = options
        self._stall_s = stall_s
        self._jobs: dict[str, _Running] = {}
        self._on_trial: _Running | None = None
        """The suspect that the process has, while the others wait."""
        self._child: _Child | None = None
        self._stopping = False
        self._restart: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._deaths_in_a_row = 0
        self.restarts = 0
        """How often the process was replaced."""
        self.doings = Doings()
        self._seconds_left: Mapping[str, float] = {}
        self._estimated_s = 0.0
        self.device: str | None = None
        """Where the engine computes; None until it is ready."""

    @property
    def state(self) -> Literal["starting", "ready", "stopped"]:
        """Whether jobs run at once ("ready"), or wait until the process is up."""
        if self._stopping:
            return "stopped"
        return "starting" if self.device is None else "ready"

    async def start(self) -> None:
        """Start the process. It loads torch and models on its own time; jobs may be handed over at once."""
        self._spawn()
        self._watch = asyncio.create_task(self._replace_when_stalled(), name="engine watch")

    def submit(
        self, requests: Sequence[JobRequest], *, on_progress: Callable[[Progress], None] = lambda _: None
    ) -> list[asyncio.Future[Outcome]]:
        """Hand jobs over, to run together where they can share forward passes.

        Args:
            requests: jobs with identifiers that are not in use.
            on_progress: called in this event loop for every step of every job.

        Returns:
            One future for each request, in their order. They always get a result, never an exception. Cancelling one
            does not stop its job: that is what `cancel` is for.
        """
        jobs = [_Running(request, on_progress) for request in requests]
        if self._stopping:
            for job in jobs:
                _resolve(job, _stopping(job.request.job_id))
            return [job.outcome for job in jobs]
        for job in jobs:
            self._jobs[job.request.job_id] = job
            job.outcome.add_done_callback(lambda _, job_id=job.request.job_id: self._jobs.pop(job_id, None))  # type: ignore[misc]
        self._send(Submit(requests=tuple(requests)))
        return [job.outcome for job in jobs]

    def seconds_left(self, job_id: str) -> float | None:
        """When a job will be done, by the engine's latest estimate; None while there is none."""
        estimate = self._seconds_left.get(job_id)
        return None if estimate is None else max(0.0, estimate - (time.monotonic() - self._estimated_s))

    def cancel(self, job_ids: Sequence[str]) -> None:
        """Stop jobs, within one forward pass; they fail with the code "cancelled". Unknown ones are ignored."""
        self._send(Cancel(job_ids=tuple(job_ids)))
        for job_id in job_ids:
            # At once, and also where there is no process to say so.
            if job := self._jobs.get(job_id):
                _resolve(job, Failed(job_id=job_id, code="cancelled", message="the task was cancelled"))
        self._try_next_suspect()

    async def stop(self) -> None:
        """End the process. Jobs that are not finished fail with the code "stopping"."""
        self._stopping = True
        for task in (self._watch, self._restart):
            if task is not None:
                task.cancel()
        if self._child is not None:
            self._child.send(Stop())
            await in_thread(self._child.end, 10.0)
        for job_id, job in list(self._jobs.items()):
            _resolve(job, _stopping(job_id))

    def _spawn(self) -> None:
        loop = asyncio.get_running_loop()

        def deliver(child: _Child, event: Event | None) -> None:
            loop.call_soon_threadsafe(self._on_event, child, event)

        self._child = _Child(self._options, deliver)

    def _send(self, command: Command) -> None:
        # Between two processes there is nobody to send to; the next one is given every unfinished job.
        if self._child is not None:
            self._child.send(command)

    def _on_event(self, child: "_Child", event: Event | None) -> None:
        if child is not self._child:
            return
        child.last_sign_s = time.monotonic()
        match event:
            case None:
                self._on_death(child)
            case Ready():
                self.device = event.device
                log.info("the engine is ready on %s", event.device)
            case Progress():
                if job := self._jobs.get(event.job_id):
                    job.steps_done = event.step
                    if job.died_after is not None and event.step > job.died_after:
                        job.died_after = None
                        self._try_next_suspect()
                    job.on_progress(event)
            case Estimates():
                self._estimated_s = time.monotonic()
                self._seconds_left = event.seconds_left
            case Vitals():
                self.doings = Doings(
                    passes=Counter(self.doings.passes) + Counter(event.passes),
                    pass_seconds=self.doings.pass_seconds + event.pass_seconds,
                    memory_bytes=event.memory_bytes,
                    models=event.models,
                )
            case Finished() | Failed():
                self._deaths_in_a_row = 0
                if job := self._jobs.get(event.job_id):
                    _resolve(job, event)
                    self._try_next_suspect()

    def _on_death(self, child: "_Child") -> None:
        never_ready = self.device is None
        self._child = self._on_trial = None
        self.device = None
        self.doings = replace(self.doings, memory_bytes=0, models=())
        code = child.end(2.0)
        if self._stopping:
            return
        log.error("the engine process ended with code %s; starting another", code)
        self.restarts += 1
        self._deaths_in_a_row += 1
        for job in self._jobs.values():
            # Jobs that had not begun cannot have been the cause.
            if job.steps_done is not None:
                if job.is_suspect:
                    _crash(job, "the engine process died twice while it was making this picture")
                job.died_after, job.steps_done = job.steps_done, None
            if never_ready and self._deaths_in_a_row >= FAILED_STARTS:
                _crash(job, "the engine process does not start; the server's log says why")
        delay_s = min(LONGEST_RESTART_DELAY_S, FIRST_RESTART_DELAY_S * 2 ** (self._deaths_in_a_row - 1))
        self._restart = asyncio.create_task(self._restart_after(delay_s), name="engine restart")

    async def _restart_after(self, delay_s: float) -> None:
        while self._child is None:
            await asyncio.sleep(delay_s)
            try:
                self._spawn()
            except (OSError, RuntimeError) as failure:
                # The machine has no memory, process or thread to spare; that passes.
                delay_s = min(LONGEST_RESTART_DELAY_S, 2 * delay_s)
                log.error("the engine process cannot be started, again in %.1f s: %s", delay_s, failure)
        unsuspected = [
            job.request for job in self._jobs.values() if not job.is_suspect and not job.outcome.done()
        ]
        if unsuspected:
            self._send(Submit(requests=tuple(unsuspected)))
        self._try_next_suspect()

    def _try_next_suspect(self) -> None:
        """Give the process one of the jobs that another died of, unless it has one. So the next death names it."""
        if self._child is None or (self._on_trial is not None and self._on_trial.is_suspect):
            return
        self._on_trial = next((job for job in self._jobs.values() if job.is_suspect), None)
        if self._on_trial is not None:
            self._send(Submit(requests=(self._on_trial.request,)))

    async def _replace_when_stalled(self) -> None:
        while True:
            await asyncio.sleep(min(self._stall_s / 4, 10.0))
            child = self._child
            if child is None:
                continue
            if not self._jobs:
                child.last_sign_s = time.monotonic()
            elif time.monotonic() - child.last_sign_s > self._stall_s:
                log.error("no sign of life from the engine for %.0f s: killing it", self._stall_s)
                child.kill()


class _Child:
    """One engine process with the two threads that talk to it, so that a full pipe never blocks the event loop."""

    def __init__(self, options: EngineOptions, deliver: Callable[["_Child", Event | None], None]) -> None:
        let_threads_sleep()
        self._connection, theirs = PROCESSES.Pipe()
        level = logging.getLogger("underpaint").getEffectiveLevel()
        self._process: BaseProcess = PROCESSES.Process(  # type: ignore[attr-defined]
            target=run_worker, args=(theirs, options, level), name="underpaint-engine", daemon=True
        )
        self._process.start()
        # Should this process leave without `end`: the child heeds no signal but this one.
        atexit.register(self.kill)
        # Held only by the child, its end of the pipe closes when the child dies, however that comes about.
        theirs.close()
        self.last_sign_s = time.monotonic()
        self._outbox: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        threading.Thread(target=self._write, daemon=True, name="engine writer").start()
        threading.Thread(target=self._read, args=(deliver,), daemon=True, name="engine reader").start()

    def send(self, command: Command) -> None:
        self._outbox.put(command)

    def kill(self) -> None:
        self._process.kill()

    def end(self, timeout_s: float) -> int | None:
        """Wait for the process to leave, by force after `timeout_s`, and give its exit code."""
        self._outbox.put(None)
        self._process.join(timeout_s)
        atexit.unregister(self.kill)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        return self._process.exitcode

    def _write(self) -> None:
        try:
            while (command := self._outbox.get()) is not None:
                self._connection.send(command)
        except (OSError, ValueError):
            return

    def _read(self, deliver: Callable[["_Child", Event | None], None]) -> None:
        try:
            while True:
                deliver(self, _received(self._connection))
        except (EOFError, OSError):
            pass
        except RuntimeError:
            # The event loop is closed: nobody is left to tell.
            return
        try:
            deliver(self, None)
        except RuntimeError:
            return


def _received(connection: Connection) -> Event:
    event: Event = connection.recv()
    return event


def _resolve(job: _Running, outcome: Outcome) -> None:
    if not job.outcome.done():
        job.outcome.set_result(outcome)


def _crash(job: _Running, message: str) -> None:
    _resolve(job, Failed(job_id=job.request.job_id, code="crashed", message=message))


def _stopping(job_id: str) -> Failed:
    return Failed(job_id=job_id, code="stopping", message="the server is stopping")
