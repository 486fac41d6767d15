"""The loop: many jobs, one forward pass at a time.

The engine knows no processes and no network; a worker process, or the library in its own process, drives it by
calling `tick` for as long as there is work.
"""

import logging
from collections.abc import Callable, Sequence

import torch

from underpaint.diffusion.stable_diffusion import ModelLoadError, StableDiffusion
from underpaint.engine.device import choose_device, choose_dtype
from underpaint.engine.job import Job, Trajectory
from underpaint.engine.messages import (
    EngineOptions,
    Event,
    Failed,
    FailureCode,
    Finished,
    JobRequest,
    Progress,
)
from underpaint.engine.models import LoadedModels
from underpaint.engine.scheduler import Candidate, plan

log = logging.getLogger(__name__)


class Engine:
    """Jobs on one device. Not thread-safe: one thread submits, cancels and ticks."""

    def __init__(self, options: EngineOptions, *, emit: Callable[[Event], None]) -> None:
        """Prepare the device.

        Args:
            options: how to run.
            emit: called with everything that happens, from within `submit` and `tick`.
        """
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        self.device = choose_device(options.device)
        self._max_rows = options.max_rows
        self._emit = emit
        self._jobs: dict[str, Job] = {}
        self._models = LoadedModels(
            device=self.device, dtype=choose_dtype(options.dtype, self.device), limit=options.models_loaded
        )
        if options.preload is not None:
            try:
                self._models.get(options.preload)
            except ModelLoadError as failure:
                # Jobs that want it will say so; others are not held up.
                log.error("the model to preload is not usable: %s", failure)

    @property
    def busy(self) -> bool:
        """Whether a job is unfinished."""
        return bool(self._jobs)

    def submit(self, requests: Sequence[JobRequest]) -> None:
        """Take jobs on. Those that no step runs for are finished at once."""
        for request in requests:
            job = Job(request)
            if job.steps == 0 and request.picture is not None:
                self._emit(Finished(job_id=request.job_id, picture=request.picture, steps_run=0))
            else:
                self._jobs[request.job_id] = job

    def cancel(self, job_ids: Sequence[str]) -> None:
        """Drop jobs. Those that are finished or unknown are ignored."""
        for job_id in job_ids:
            if self._jobs.pop(job_id, None):
                self._emit(Failed(job_id=job_id, code="cancelled", message="the task was cancelled"))

    def tick(self) -> None:
        """Run one forward pass for the jobs that the scheduler picks."""
        chosen = [self._jobs[job_id] for job_id in plan(self._candidates(), max_rows=self._max_rows)]
        ready = [job for job in chosen if self._prepare(job)]
        # Only now are the lengths of the prompts known.
        batch = [job for job in ready if _tokens(job) == _tokens(ready[0])]
        for job in self._jobs.values():
            if job not in batch:
                job.passes_left_out += 1
        if batch:
            self._forward(batch)

    def _candidates(self) -> list[Candidate]:
        return [
            Candidate(
                job_id=job_id,
                group=job.group,
                rows=job.row_count,
                forwards_left=job.forwards_left,
                passes_left_out=job.passes_left_out,
                loaded=job.request.model in self._models,
            )
            for job_id, job in self._jobs.items()
        ]

    def _prepare(self, job: Job) -> bool:
        """Encode a job's prompts and picture if that is still to be done; False if the job failed of it."""
        if job.trajectory is not None:
            return True
        if job.request.model not in self._models:
            self._report(job, loading=True)
        try:
            job.trajectory = Trajectory(job.request, self._models.get(job.request.model))
        except Exception as failure:
            self._fail(job, failure)
            return False
        self._report(job)
        return True

    def _forward(self, batch: list[Job]) -> None:
        try:
            model = self._models.get(batch[0].request.model)
            rows = [_trajectory(job).rows() for job in batch]
            predicted = model.predict([row for rows_of_job in rows for row in rows_of_job])
            parts = torch.split(predicted, [len(rows_of_job) for rows_of_job in rows])
        except Exception as failure:
            if len(batch) == 1:
                self._fail(batch[0], failure)
                return
            # One of them may be the cause, or together they may be too much: alone, only the culprit fails.
            log.warning("a forward pass of %d jobs failed, running them one by one: %r", len(batch), failure)
            self._release_memory()
            for job in batch:
                self._forward([job])
            return
        for job, predictions in zip(batch, parts, strict=True):
            try:
                _trajectory(job).advance(predictions)
                self._report(job)
                if not job.forwards_left:
                    self._finish(job, model)
            except Exception as failure:
                self._fail(job, failure)

    def _finish(self, job: Job, model: StableDiffusion) -> None:
        picture = _trajectory(job).paint(model)
        del self._jobs[job.request.job_id]
        self._emit(Finished(job_id=job.request.job_id, picture=picture, steps_run=job.steps))

    def _report(self, job: Job, *, loading: bool = False) -> None:
        done = 0 if job.trajectory is None else job.trajectory.steps_done
        self._emit(
            Progress(
                job_id=job.request.job_id,
                stage="loading" if loading else "running",
                step=done,
                steps=job.steps,
            )
        )

    def _fail(self, job: Job, failure: Exception) -> None:
        del self._jobs[job.request.job_id]
        code: FailureCode = "failed"
        message = f"the engine could not make this picture: {failure}"
        if isinstance(failure, ModelLoadError):
            code, message = "modelLoad", str(failure)
        elif isinstance(failure, (torch.OutOfMemoryError, MemoryError)):
            code, message = "outOfMemory", "there is not enough memory for a picture of this size"
            self._release_memory()
        else:
            log.exception("job %s failed", job.request.job_id, exc_info=failure)
        self._emit(Failed(job_id=job.request.job_id, code=code, message=message))

    def _release_memory(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def _trajectory(job: Job) -> Trajectory:
    assert job.trajectory is not None, "a job in a forward pass has been prepared"
    return job.trajectory


def _tokens(job: Job) -> int:
    return _trajectory(job).tokens
