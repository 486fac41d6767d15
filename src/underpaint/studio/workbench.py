"""The workbench: tasks that were accepted and have no outcome yet, and the engine that works on them."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy.exc import DBAPIError

from underpaint.blocking import in_thread
from underpaint.engine.checkpoint_files import (
    checkpoint_name,
    remove_checkpoints,
    remove_stray_checkpoints,
)
from underpaint.engine.messages import Failed, PartName, PreprocessRequest, SafetyCheck
from underpaint.engine.preprocessor_process import PreprocessorProcess
from underpaint.engine.process import EngineProcess, Outcome
from underpaint.gathering import gather
from underpaint.settings import Settings
from underpaint.studio.cancellation import CANCELLED, Cancellation
from underpaint.studio.disk import unforeseen
from underpaint.studio.inputs import Inputs
from underpaint.studio.journal import Journal, ResultRecord, TaskRecord
from underpaint.studio.options import CHECKPOINTS
from underpaint.studio.outcomes import Outcomes
from underpaint.studio.outlook import Outlook
from underpaint.studio.persistence import is_passing
from underpaint.studio.preparing import Prepared
from underpaint.studio.progress import OnProgress, Reporter
from underpaint.studio.requests import Wishes, deep_cache, job_requests
from underpaint.studio.room import Place
from underpaint.studio.run import Run
from underpaint.wire import ControlNetPreprocessTask, TaskError

log = logging.getLogger(__name__)

STRAY_AGE_S = 60.0
"""A younger checkpoint may be of a task that was accepted only now."""
DISCARD_S = 0.25
"""How long what a task would have been run again from stays after its end, so that nobody's answer waits for the
removal, and that of tasks which end together is one transaction."""
_ERROR_CODES = {"modelLoad": "modelNotReady"}
"""By the engine's failure codes; all others are inferenceError."""
_PARAMETERS: Mapping[PartName, str] = {
    "model": "model",
    "refiner": "refiner.model",
    "vae": "vae",
    "loras": "lora[{}].model",
    "embeddings": "embeddings[{}].model",
    "image_prompts": "ipAdapters[{}].model",
    "controls": "controlNet[{}].model",
}
"""What the task calls a part of the job that the engine cannot use."""


class Workbench:
    """Works on tasks until they have their outcome."""

    def __init__(
        self,
        *,
        settings: Settings,
        journal: Journal,
        engine: EngineProcess,
        preprocessors: PreprocessorProcess,
        inputs: Inputs,
        outcomes: Outcomes,
    ) -> None:
        self._journal = journal
        self._engine = engine
        self._preprocessors = preprocessors
        self._inputs = inputs
        self._outcomes = outcomes
        self._checkpoints = settings.data_dir / CHECKPOINTS
        self._runs: dict[tuple[str, str], Run] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._reports: set[asyncio.Task[None]] = set()
        self._over: list[Run] = []
        self._discarding: asyncio.Task[None] | None = None
        self.outlook = Outlook(engine, self._runs.values)
        """When the pictures will be done."""

    @property
    def waiting(self) -> int:
        """Pictures that are accepted and that the engine has not begun."""
        return sum(run.waiting for run in self._runs.values())

    @property
    def running(self) -> int:
        """Pictures that the engine is making."""
        return sum(run.running for run in self._runs.values())

    def find(self, owner: str, task_uuid: str) -> Run | None:
        """A task that is being worked on."""
        return self._runs.get((owner, task_uuid))

    def begin(
        self,
        record: TaskRecord,
        prepared: Prepared,
        cancellation: Cancellation,
        place: Place,
        *,
        safety_check: SafetyCheck | None,
        awaited: bool,
        on_progress: OnProgress | None = None,
    ) -> Run:
        """Begin with a task.

        Args:
            record: as the journal has it.
            prepared: the same, read, and what there is to begin with.
            cancellation: ends it.
            place: its place in the queue.
            safety_check: by what its pictures are judged; None for not at all.
            awaited: whether a caller waits for its outcome.
            on_progress: is told how far it is, if the task asks for that.
        """
        task = prepared.task
        if not (task.progress or task.previews):
            on_progress = None
        wishes = Wishes(
            prompt=task.positive_prompt,
            negative_prompt=task.negative_prompt,
            width_px=task.width,
            height_px=task.height,
            picture=prepared.picture,
            mask=prepared.mask,
            mask_margin_px=task.mask_margin,
            strength=task.strength,
            strength_curve=task.strength_curve,
            steps=task.steps,
            guidance_scale=task.cfg_scale,
            scheduler=task.scheduler,
            seed=record.seed,
            results=task.number_results,
            color_fix=task.color_fix,
            clip_skip=task.clip_skip,
            prompt_weighting=task.prompt_weighting,
            refiner=prepared.refiner,
            vae=prepared.vae,
            loras=prepared.loras,
            embeddings=prepared.embeddings,
            image_prompts=prepared.image_prompts,
            references=prepared.references,
            controls=prepared.controls,
            deep_cache=deep_cache(task.accelerator_options),
            passes=task.passes,
            safety_check=safety_check,
            previews=task.previews and on_progress is not None,
        )
        made = {result.position for result in record.results}
        checkpoints = {
            position: checkpoint_name(record.owner, record.task_uuid, position)
            for position in range(task.number_results)
            if position not in made
        }
        jobs = job_requests(
            wishes,
            entry=prepared.entry,
            location=prepared.location,
            owner=record.owner,
            checkpoints=checkpoints,
        )
        place.results = len(jobs)
        run = Run(record, jobs, cancellation, place, awaited=awaited, positions=tuple(checkpoints))
        entry = prepared.entry
        self._start(
            run,
            self._work_on(
                run,
                submit=lambda: self._engine.submit(jobs, on_progress=run.note),
                cancel=self._engine.cancel,
                result_of=lambda position, outcome: self._outcomes.result(
                    run, position, outcome, task, entry
                ),
                what=f"{len(jobs)} pictures of {task.width}x{task.height}",
            ),
            on_progress,
        )
        return run

    def begin_guide_image(
        self,
        record: TaskRecord,
        task: ControlNetPreprocessTask,
        request: PreprocessRequest,
        cancellation: Cancellation,
        place: Place,
        *,
        awaited: bool,
        on_progress: OnProgress | None = None,
    ) -> Run:
        """Begin with a task of preprocessors; see `begin`."""
        run = Run(record, (request,), cancellation, place, awaited=awaited)
        self._start(
            run,
            self._work_on(
                run,
                submit=lambda: self._preprocessors.submit([request], on_progress=run.note),
                cancel=self._preprocessors.cancel,
                result_of=lambda position, outcome: self._outcomes.guide_image(run, position, outcome, task),
                what=f"a guide image by {request.kind}",
            ),
            on_progress if task.progress or task.previews else None,
        )
        return run

    def _start(self, run: Run, work: Coroutine[Any, Any, None], on_progress: OnProgress | None) -> None:
        record = run.record
        self._runs[record.owner, record.task_uuid] = run
        _keep(self._work, self._see_to(run, work), f"task {record.task_uuid}")
        if on_progress is not None:
            reporter = Reporter(run, self.outlook, on_progress)
            _keep(self._reports, reporter.report(), f"progress of {record.task_uuid}")

    async def drain(self, grace_s: float) -> None:
        """Wait for the tasks that are being worked on, for `grace_s` seconds at most."""
        self._outcomes.stopping.set()
        if self._work:
            await asyncio.wait(self._work, timeout=grace_s)

    async def settle(self) -> None:
        """Wait until every task has noticed that the engine has stopped."""
        self._outcomes.stopping.set()
        if self._work:
            await asyncio.wait(self._work)
        if self._discarding is not None:
            await asyncio.wait({self._discarding})
        for report in self._reports:
            report.cancel()

    async def remove_stray_checkpoints(self) -> None:
        """Remove those of jobs that it does not know."""
        in_use = self._checkpoints_in_use()
        await in_thread(remove_stray_checkpoints, self._checkpoints, except_names=in_use, age_s=STRAY_AGE_S)

    async def _discard_soon(self) -> None:
        """Remove what tasks that are over would have been run again from, as long as there are any."""
        while self._over:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._outcomes.stopping.wait(), DISCARD_S)
            over, self._over = self._over, []
            # A task that has failed may have been sent again since, and begun under the same names.
            checkpoints = {job.checkpoint for run in over for job in run.jobs if job.checkpoint}
            checkpoints -= self._checkpoints_in_use()
            try:
                await in_thread(self._discard, over, checkpoints)
            except Exception:
                log.exception("what tasks had left could not be removed; it goes when it expires")
        self._discarding = None

    def _discard(self, runs: Sequence[Run], checkpoints: Collection[str]) -> None:
        """Blocks."""
        self._inputs.discard(*(run.record for run in runs))
        remove_checkpoints(self._checkpoints, checkpoints)

    def _checkpoints_in_use(self) -> set[str]:
        return {job.checkpoint for run in self._runs.values() for job in run.jobs if job.checkpoint}

    async def _see_to(self, run: Run, work: Coroutine[Any, Any, None]) -> None:
        """Let a task have its outcome, and leave nothing of it behind."""
        record = run.record
        try:
            await work
        except Exception:
            # What the journal does not have is done again.
            log.exception("task %s has no outcome; it goes on after the restart", record.task_uuid)
            run.interrupted = True
        finally:
            del self._runs[record.owner, record.task_uuid]
            run.place.leave()
            run.finished.set()
        if run.interrupted:
            # An orderly stop says nothing against the task.
            with contextlib.suppress(DBAPIError):
                await in_thread(self._journal.begun_in_vain, record)
        else:
            self._over.append(run)
            if self._discarding is None:
                self._discarding = asyncio.create_task(self._discard_soon(), name="discarding")

    async def _work_on(
        self,
        run: Run,
        *,
        submit: Callable[[], Sequence[asyncio.Future[Outcome]]],
        cancel: Callable[[Sequence[str]], None],
        result_of: Callable[[int, asyncio.Future[Outcome]], Coroutine[Any, Any, Failed | ResultRecord]],
        what: str,
    ) -> None:
        """Have the jobs of a task done, and write its outcome down.

        Args:
            run: the task.
            submit: hands its jobs over.
            cancel: ends jobs.
            result_of: waits for one and stores it.
            what: it is, for the log.

        Raises:
            Exception: what keeps the outcome from being written down, if that lasts to the end of the server.
        """
        started_s = time.monotonic()
        record = run.record
        cancel_all = partial(cancel, [job.job_id for job in run.jobs])

        async def result_at(
            position: int, outcome: asyncio.Future[Outcome]
        ) -> Failed | ResultRecord | Exception:
            try:
                return await result_of(position, outcome)
            except Exception as failure:
                # The task fails with it: its other pictures are not wanted any more.
                cancel_all()
                return failure

        def tell() -> None:
            run.error = error
            run.finished.set()

        try:
            outcomes = submit()
            run.cancellation.stops(cancel_all)
            made = await gather(result_at(position, outcome) for position, outcome in enumerate(outcomes))
            unexpected = next((each for each in made if isinstance(each, Exception)), None)
            if unexpected is not None:
                raise unexpected
            failures = [each for each in made if isinstance(each, Failed)]
            codes = {failure.code for failure in failures}
            if "cancelled" in codes:
                error = TaskError("taskCancelled", CANCELLED)
            elif "stopping" in codes:
                run.interrupted = True
                return
            elif failures:
                error = _error_of(failures[0])
            else:
                await self._outcomes.succeed(run)
                if not record.results:
                    results_made = tuple(each for each in made if isinstance(each, ResultRecord))
                    run.outcome = replace(record, status="success", results=results_made)
                log.info("task %s: %s in %.2f s", record.task_uuid, what, time.monotonic() - started_s)
                return
        except Exception as failure:
            if self._outcomes.stopping.is_set() and is_passing(failure):
                raise
            log.exception("task %s failed unexpectedly", record.task_uuid)
            error = unforeseen(failure)
        await self._outcomes.fail(record, error, delayed=tell)


def _error_of(failure: Failed) -> TaskError:
    code = _ERROR_CODES.get(failure.code, "inferenceError")
    if failure.part is None:
        return TaskError(code, failure.message)
    parameter = _PARAMETERS[failure.part.name].format(failure.part.index)
    return TaskError(code, failure.message, parameter=parameter, type="string")


def _keep(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None], name: str) -> None:
    """Start something that nobody waits for: the event loop itself holds it but weakly."""
    task = asyncio.create_task(work, name=name)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
