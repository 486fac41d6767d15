"""The loop: many jobs, one forward pass at a time.

The engine knows no processes and no network; a worker process, or the library in its own process, drives it by
calling `tick` for as long as there is work.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

from underpaint.diffusion.family import Family, ModelLoadError
from underpaint.diffusion.openvino_unet import CompiledPassFailed
from underpaint.diffusion.out_of_memory import is_out_of_memory
from underpaint.engine.additions import LoadedAdditions
from underpaint.engine.beginnings import Beginnings
from underpaint.engine.checkpoints import Checkpoints
from underpaint.engine.device import choose_device, choose_dtype, choose_turns
from underpaint.engine.encodings import ByteBudgetCache
from underpaint.engine.estimates import seconds_left
from underpaint.engine.executors import Executors, compiled_precision, precision_name
from underpaint.engine.failures import outcome_of
from underpaint.engine.job import Job
from underpaint.engine.lost_device import device_is_lost
from underpaint.engine.memory import release_memory, total_bytes
from underpaint.engine.messages import (
    EngineOptions,
    Estimates,
    Event,
    Executor,
    Failed,
    Finished,
    JobRequest,
    ModelReference,
    Picture,
    Precision,
    Progress,
)
from underpaint.engine.models import LoadedModels
from underpaint.engine.passes import Passes, TooLarge
from underpaint.engine.safety import KeptSafetyChecker
from underpaint.engine.scheduler import Candidate, plan
from underpaint.engine.shares import Shares
from underpaint.engine.shortage import Shortage
from underpaint.engine.trajectory import Trajectory
from underpaint.engine.vitals import VitalsReporter

log = logging.getLogger(__name__)

ADDITIONS_SHARE = 0.25
"""Of the device's memory, for what acts upon models, where no budget is set."""
ESTIMATE_INTERVAL_S = 1.0
"""Time between estimates of when jobs will be done."""
MOST_ESTIMATED = 300
"""Jobs up to which estimates are made: a longer queue is not worth the time that playing it through takes."""


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
        self._emit = emit
        self._jobs: dict[str, Job] = {}
        self._turn = 0
        self._shares = Shares()
        self._vitals = VitalsReporter(self.device, emit)
        self._estimated_s = 0.0
        self._encodings = ByteBudgetCache(options.encodings_bytes)
        dtype = choose_dtype(options.dtype, self.device)
        self._controls_apart: set[ModelReference] = set()
        """Models beside which there was no room for the ControlNets of several jobs at once."""
        self._executors = Executors(options, device=self.device, dtype=dtype)
        self._checkpoints = Checkpoints(options, self.device, dtype)
        self._checkpoint_interval_s = options.checkpoint_interval_s
        self._models = LoadedModels(
            device=self.device,
            turns=choose_turns(options.cpu_offload, self.device),
            form_of=self._executors.weights_of,
            compile=self._executors.take,
            give_up=self._executors.give_up,
            budget_bytes=options.models_bytes,
            on_drop=self._forget,
            on_shortage=lambda: self._additions.release(),
        )
        self._safety = KeptSafetyChecker(self.device, self._models.set_aside)
        self._additions = LoadedAdditions(
            int(total_bytes(self.device) * ADDITIONS_SHARE)
            if options.additions_bytes is None
            else options.additions_bytes,
            self._models,
            strict=options.strict_rows is not None,
        )
        self._beginnings = Beginnings(
            models=self._models,
            safety=self._safety,
            encodings=self._encodings,
            additions=self._additions,
            checkpoints=self._checkpoints,
        )
        self._shortage = Shortage(self.device, self._additions, self._models)
        self._passes = Passes(
            self.device,
            max_rows=options.max_rows,
            strict_rows=options.strict_rows,
            moves=lambda: self._models.moves,
            give_up=self._shortage.give_up,
            ran=self._vitals.count,
        )
        if options.preload is not None:
            try:
                self._models.get(options.preload)
            except ModelLoadError as failure:
                # Jobs that want it will say so; others are not held up.
                log.error("the model to preload is not usable: %s", failure)

    def model(self, reference: ModelReference) -> Family:
        """A model, loaded if it is not yet; for measuring."""
        return self._models.get(reference)

    @property
    def is_preparing(self) -> bool:
        """Whether the compiled form of a model is being made."""
        return self._executors.is_preparing

    @property
    def busy(self) -> bool:
        """Whether a job is unfinished."""
        return bool(self._jobs)

    def rest(self) -> None:
        """While there is nothing to do, give free memory back to the system, which takes 3 ms.

        A GPU's stays: asking for it again would take the next picture longer than that.
        """
        if self.device.type == "cpu":
            release_memory(self.device)

    def submit(self, requests: Sequence[JobRequest]) -> None:
        """Take jobs on. Those that no step runs for are finished at once."""
        for request in requests:
            job = Job(request)
            if job.steps == 0 and request.picture is not None:
                self._deliver(job, request.picture)
            else:
                self._jobs[request.job_id] = job

    def cancel(self, job_ids: Sequence[str]) -> None:
        """Drop jobs. Those that are finished or unknown are ignored."""
        for job_id in job_ids:
            if job := self._jobs.pop(job_id, None):
                self._checkpoints.forget(job.request)
                self._emit(Failed(job_id=job_id, code="cancelled", message="the task was cancelled"))

    @property
    def passes(self) -> int:
        """Forward passes so far."""
        return self._turn

    def tick(self) -> None:
        """Do one thing for the jobs that the scheduler picks: encode what one of them begins with, run a forward pass,
        or decode a picture. A shorter job that comes meanwhile waits for no more than that.

        Raises:
            Exception: the device is lost to this process. No job has failed for it.
        """
        candidates = self._candidates()
        planned = plan(
            candidates,
            turn=self._turn + 1,
            row_limit=self._passes.row_limit,
            seconds=self._passes.judged_seconds,
        )
        jobs = [self._jobs[job_id] for job_id in planned]
        if beginning := next((job for job in jobs if not job.is_prepared), None):
            self._prepare(beginning)
        elif jobs and jobs[0].is_to_be_decoded:
            self._finish(jobs[0])
        elif jobs:
            self._run(jobs)
        self._estimate(candidates)
        self._vitals.tell(self._models.names, idle=not self.busy)

    def _run(self, jobs: Sequence[Job]) -> None:
        self._turn += 1
        # The lengths of the prompts are not known to the scheduler.
        batch = self._admitted([job for job in jobs if _shape(job) == _shape(jobs[0])])
        for job in self._jobs.values():
            job.passes_waited = 0 if job in batch else job.passes_waited + 1
        if batch:
            self._forward(batch)

    def close(self) -> None:
        """Keep the state of every job that has begun, for whoever goes on with it."""
        for job in self._jobs.values():
            if job.trajectory is not None and job.trajectory.steps_done:
                self._keep(job)
        self._checkpoints.close()
        self._executors.close()

    def _candidates(self) -> list[Candidate]:
        debts = self._shares.debts({job.request.owner for job in self._jobs.values()})
        return [
            Candidate(
                job_id=job_id,
                group=self._group(job),
                rows=job.row_count,
                forwards_left=job.forwards_left,
                forwards=job.forwards,
                decodes=job.is_to_be_decoded,
                passes_waited=job.passes_waited,
                owner_debt=debts[job.request.owner],
                loaded=self._is_loaded(job),
            )
            for job_id, job in self._jobs.items()
        ]

    def _is_loaded(self, job: Job) -> bool:
        """Whether its model is there, and, of those of which not all fit, its ControlNets."""
        if job.model in self._controls_apart and not self._models.has_beside(job.model, job.controlnets):
            return False
        return job.model in self._models

    def _group(self, job: Job) -> Hashable:
        """What jobs must have in common to share a pass, as far as it is known before their prompts are encoded."""
        model = self._models.loaded(job.model)
        is_there = model is not None and compiled_precision(model) is not None
        controlnets = job.controlnets if job.model in self._controls_apart else None
        return (job.group, job.runs_compiled(is_there=is_there), controlnets)

    def _estimate(self, candidates: Sequence[Candidate]) -> None:
        now_s = time.monotonic()
        if now_s - self._estimated_s < ESTIMATE_INTERVAL_S or len(candidates) > MOST_ESTIMATED:
            return
        self._estimated_s = now_s
        left = seconds_left(
            candidates,
            row_limit=self._passes.row_limit,
            pass_seconds=self._passes.profile.seconds,
            judged_seconds=self._passes.judged_seconds,
        )
        self._emit(Estimates(seconds_left=left))

    def _prepare(self, job: Job) -> None:
        """Encode a job's prompts and picture, for its first pass or its refiner's."""
        if job.model not in self._models:
            self._report(job, loading=True)
        try:
            self._shortage.within_memory(job.model, lambda: self._beginnings.encode(job))
        except Exception as failure:
            self._fail(job, failure)
            return
        self._report(job)

    def _keep(self, job: Job) -> None:
        job.kept_s = time.monotonic()
        try:
            self._checkpoints.keep(job.request, _trajectory(job).state())
        except Exception as failure:
            # It is worth less than the job.
            log.warning("the state of job %s cannot be kept: %r", job.request.job_id, failure)

    def _forget(self, dropped: ModelReference) -> None:
        self._encodings.forget(lambda key: dropped in key)
        self._additions.forget(dropped)

    def _admitted(self, batch: list[Job]) -> list[Job]:
        """The jobs of a batch that there is memory for; the first fails if it is too much alone."""
        try:
            return self._passes.admitted(batch)
        except TooLarge as failure:
            self._fail(batch[0], failure)
            return []

    def _forward(self, batch: list[Job]) -> None:
        try:
            model, parts = self._shortage.within_memory(batch[0].model, lambda: self._predicted(batch))
        except CompiledPassFailed as failure:
            log.warning("OpenVINO cannot run a pass, which PyTorch runs in its place: %s", failure)
            self._go_on_in_pytorch(batch)
            once_more = [batch]
        except Exception as failure:
            if len(batch) == 1:
                self._fail(batch[0], failure)
                return
            # One of them may be the cause, or together they may be too much: alone, only the culprit fails.
            # In words alone: whoever keeps the record would keep what the pass had computed.
            said = repr(failure)
            log.warning("a forward pass of %d jobs failed, running them one by one: %s", len(batch), said)
            once_more = [[job] for job in batch]
            if any(job.controlnets != batch[0].controlnets for job in batch) and (
                is_out_of_memory(failure) or isinstance(failure, ModelLoadError)
            ):
                self._controls_apart.add(batch[0].model)
        else:
            self._charge_and_advance(batch, parts, model)
            return
        # Not in the handlers: there the traceback holds what the pass had computed.
        release_memory(self.device)
        for jobs in once_more:
            self._forward(jobs)

    def _predicted(self, batch: list[Job]) -> tuple[Family, Sequence[Tensor]]:
        """The model of a batch, and what it predicts for the rows of each job."""
        model = self._models.get(batch[0].model)
        if compiled_precision(model) is None:
            # It was dropped meanwhile, and its compiled form is not back yet.
            self._go_on_in_pytorch(batch)
        rows = [_trajectory(job).rows() for job in batch]
        flat = [row for of_job in rows for row in of_job]
        predicted = self._passes.predict(model, batch, flat, self._group(batch[0]))
        return model, torch.split(predicted, [len(of_job) for of_job in rows])

    def _charge_and_advance(self, batch: Sequence[Job], parts: Sequence[Tensor], model: Family) -> None:
        charged: Counter[str] = Counter()
        for job, predictions in zip(batch, parts, strict=True):
            charged[job.request.owner] += len(predictions)
            try:
                self._advance(job, predictions, model)
            except Exception as failure:
                self._fail(job, failure)
        self._shares.charge(charged)

    def _go_on_in_pytorch(self, batch: list[Job]) -> None:
        for job in batch:
            _trajectory(job).compiled = None

    def _advance(self, job: Job, predictions: Tensor, model: Family) -> None:
        trajectory = _trajectory(job)
        preview = trajectory.preview(predictions, model) if job.request.previews else None
        trajectory.advance(predictions)
        self._report(job, preview=preview)
        if time.monotonic() - job.kept_s >= self._checkpoint_interval_s:
            self._keep(job)

    def _finish(self, job: Job) -> None:
        trajectory = _trajectory(job)

        def paint() -> tuple[Picture, Precision]:
            model = self._models.get(job.model)
            return trajectory.paint(model), precision_name(model.dtype)

        try:
            picture, eager_precision = self._shortage.within_memory(job.model, paint)
        except Exception as failure:
            self._fail(job, failure)
            return
        compiled = trajectory.compiled if trajectory.runs_compiled else None
        self._deliver(
            job,
            picture,
            executor="openvino" if compiled else "eager",
            precision=compiled or eager_precision,
        )

    def _deliver(
        self, job: Job, picture: Picture, *, executor: Executor = "eager", precision: Precision = "float32"
    ) -> None:
        """Judge a picture, where that is asked for, and hand it out."""
        request, unsafe = job.request, None
        if request.safety_check is not None:
            try:
                unsafe = self._safety.get(request.safety_check).is_unsafe(picture)
            except Exception as failure:
                self._fail(job, failure)
                return
        self._checkpoints.forget(request)
        self._jobs.pop(request.job_id, None)
        self._emit(
            Finished(
                job_id=request.job_id,
                picture=picture,
                steps_run=job.steps,
                unsafe=unsafe,
                executor=executor,
                precision=precision,
            )
        )

    def _report(self, job: Job, *, loading: bool = False, preview: Picture | None = None) -> None:
        done = 0 if job.trajectory is None else job.trajectory.steps_done
        self._emit(
            Progress(
                job_id=job.request.job_id,
                stage="loading" if loading else "running",
                step=done,
                steps=job.steps,
                preview=preview,
            )
        )

    def _fail(self, job: Job, failure: Exception) -> None:
        if device_is_lost(self.device):
            # Every job would fail from now on. In another process they run again.
            raise failure
        self._jobs.pop(job.request.job_id, None)
        self._checkpoints.forget(job.request)
        if is_out_of_memory(failure):
            release_memory(self.device)
        self._emit(outcome_of(job.request.job_id, failure))


def _trajectory(job: Job) -> Trajectory:
    assert job.trajectory is not None, "a job in a forward pass has been prepared"
    return job.trajectory


def _shape(job: Job) -> tuple[object, ...]:
    """What jobs must have in common to share a forward pass."""
    trajectory = _trajectory(job)
    return (*job.group, trajectory.tokens, trajectory.runs_compiled)
