"""imageInference: from an accepted task to its pictures.

Everything that can be wrong with a task is found before it is accepted: after its acknowledgement only the engine can
fail. An accepted task belongs to the studio, not to the connection that sent it.
"""

import asyncio
import logging
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from underpaint.catalog import (
    Catalog,
    CatalogError,
    ModelEntry,
    ModelListUnreadable,
    ModelNotInstalled,
)
from underpaint.catalog.download import DownloadFailed, local_files
from underpaint.engine.messages import Failed, JobRequest, Picture, Progress
from underpaint.engine.process import EngineProcess, Outcome
from underpaint.images import EXTENSIONS, encode_image, fit_image
from underpaint.settings import Settings
from underpaint.studio.caller import Caller
from underpaint.studio.journal import Journal, ResultRecord, TaskRecord
from underpaint.studio.making import picture_parameters
from underpaint.studio.pictures import Pictures
from underpaint.studio.requests import UnknownScheduler, Wishes, checked_scheduler, job_requests
from underpaint.wire import ImageInferenceTask, TaskError, parse_task

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""Times that a task is begun, across restarts of the server, until it is taken for the cause of them."""
_RANDOM_SEED_BITS = 32
"""Drawn seeds stay below 2^32, which every JSON reader keeps exact."""

_ERROR_CODES = {"modelLoad": "modelNotReady", "stopping": "serviceUnavailable"}
"""By the engine's failure codes; all others are inferenceError."""


class Run:
    """A task that is being worked on."""

    def __init__(self, record: TaskRecord, jobs: tuple[JobRequest, ...]) -> None:
        self.record = record
        self.jobs = jobs
        self.finished = asyncio.Event()
        """Set when the task has its outcome, in the journal too."""
        self.interrupted = False
        """Whether the server stopped before the task had an outcome; it goes on after a restart."""
        self._steps: dict[str, float] = {}

    def note(self, progress: Progress) -> None:
        """Take in how far a job is."""
        self._steps[progress.job_id] = progress.step / max(1, progress.steps)

    @property
    def percent(self) -> int:
        """Share of the work that is done, 0 to 99."""
        return min(99, int(100 * sum(self._steps.values()) / len(self.jobs)))

    @property
    def started(self) -> int:
        """How many of its jobs the engine has begun."""
        return len(self._steps)


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    entry: ModelEntry
    location: Path
    picture: Picture | None


class ImageInference:
    """Accepts and runs imageInference tasks."""

    def __init__(
        self,
        *,
        settings: Settings,
        catalog: Catalog,
        pictures: Pictures,
        journal: Journal,
        engine: EngineProcess,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._pictures = pictures
        self._journal = journal
        self._engine = engine
        self._runs: dict[tuple[str, str], Run] = {}
        self._work: set[asyncio.Task[None]] = set()

    @property
    def jobs_waiting(self) -> int:
        """Pictures that are accepted and that the engine has not begun."""
        return sum(len(run.jobs) - run.started for run in self._runs.values())

    @property
    def jobs_running(self) -> int:
        """Pictures that the engine has begun."""
        return sum(run.started for run in self._runs.values())

    def find(self, owner: str, task_uuid: str) -> Run | None:
        """A task that is being worked on."""
        return self._runs.get((owner, task_uuid))

    async def accept(self, task: ImageInferenceTask, raw: Mapping[str, Any], caller: Caller) -> Run:
        """Check a task, write it down and begin with it.

        Raises:
            TaskError: it is not acceptable; nothing of it is kept.
        """
        if await asyncio.to_thread(self._journal.has, caller.owner, task.task_uuid):
            raise _conflict(task.task_uuid)
        self._check_room(task.number_results)
        prepared = await self._prepare(task)
        request = {name: value for name, value in raw.items() if name not in ("seedImage", "inputs")}
        ttl_s = float(task.ttl_s or self._settings.result_ttl_s)
        if prepared.picture is not None:
            request["seedImage"] = await self._keep_seed(prepared.picture, caller.owner, ttl_s)
        record = TaskRecord(
            owner=caller.owner,
            task_uuid=task.task_uuid,
            task_type=task.task_type,
            request=request,
            base_url=caller.base_url,
            asynchronous=task.delivery_method == "async",
            seed=task.seed or random.SystemRandom().randrange(1, 2**_RANDOM_SEED_BITS),
            expires_s=time.time() + ttl_s,
        )
        # Once more: other tasks came while this one's picture was read.
        self._check_room(task.number_results)
        if not await asyncio.to_thread(self._journal.accept, record):
            await self._discard_seed(record)
            raise _conflict(task.task_uuid)
        return self._begin(record, task, prepared)

    async def resume(self) -> None:
        """Begin again with the tasks that a stopped or crashed server left unfinished."""
        for record in await asyncio.to_thread(self._journal.unfinished):
            log.info("task %s goes on after a restart", record.task_uuid)
            await asyncio.to_thread(self._journal.begin_again, record)
            try:
                if record.attempts >= MAX_ATTEMPTS:
                    raise TaskError(
                        "inferenceError", "the server stopped each time that it worked on this task"
                    )
                task = parse_task(record.request)
                assert isinstance(task, ImageInferenceTask), "only imageInference tasks are written down"
                self._begin(record, task, await self._prepare(task))
            except TaskError as error:
                await self._fail(record, error)

    async def drain(self, grace_s: float) -> None:
        """Wait for the tasks that are being worked on, for `grace_s` seconds at most."""
        if self._work:
            await asyncio.wait(self._work, timeout=grace_s)

    async def settle(self) -> None:
        """Wait until every task has noticed that the engine has stopped."""
        if self._work:
            await asyncio.wait(self._work)

    def _check_room(self, results: int) -> None:
        if self.jobs_waiting + self.jobs_running + results > self._settings.queue_limit:
            raise TaskError("rateLimitExceeded", "the queue is full; try again later")

    async def _prepare(self, task: ImageInferenceTask) -> _Prepared:
        if task.check_nsfw and not self._settings.skip_nsfw_check:
            raise TaskError(
                "unsupportedParameter",
                "'checkNSFW' is not supported by this server: it has no safety checker and does not pretend to. Its "
                "setting skip_nsfw_check makes it run such tasks unchecked.",
                parameter="checkNSFW",
            )
        entry = self._resolve(task.model)
        try:
            checked_scheduler(task.scheduler, entry)
        except UnknownScheduler as unknown:
            raise TaskError(
                "invalidScheduler",
                f"{unknown}; 'allowedValues' lists those it can run with.",
                parameter="scheduler",
                type="string",
                allowed_values=list(unknown.known),
            ) from None
        picture = None
        if task.seed_image is not None:
            image = await self._pictures.read(task.seed_image, parameter="seedImage")
            picture = await asyncio.to_thread(_fitted, image, task)
        try:
            location = await asyncio.to_thread(local_files, entry)
        except DownloadFailed as failure:
            raise TaskError("modelNotReady", str(failure), parameter="model") from None
        return _Prepared(entry=entry, location=location, picture=picture)

    def _resolve(self, air: str) -> ModelEntry:
        try:
            return self._catalog.resolve(air)
        except ModelNotInstalled as missing:
            raise TaskError("modelNotReady", str(missing), parameter="model", type="string") from None
        except ModelListUnreadable as damaged:
            raise TaskError("internalServerError", str(damaged)) from None
        except CatalogError as refusal:
            raise TaskError("invalidModel", str(refusal), parameter="model", type="string") from None

    async def _keep_seed(self, picture: Picture, owner: str, ttl_s: float) -> str:
        image = Image.fromarray(picture)
        data = await asyncio.to_thread(encode_image, image, format="PNG")
        return await self._pictures.keep(
            data, extension="png", kind="seed", size=image.size, owner=owner, ttl_s=ttl_s
        )

    def _begin(self, record: TaskRecord, task: ImageInferenceTask, prepared: _Prepared) -> Run:
        wishes = Wishes(
            prompt=task.positive_prompt,
            negative_prompt=task.negative_prompt,
            width_px=task.width,
            height_px=task.height,
            picture=prepared.picture,
            strength=task.strength,
            steps=task.steps,
            guidance_scale=task.cfg_scale,
            scheduler=task.scheduler,
            seed=record.seed,
            results=task.number_results,
            clip_skip=task.clip_skip,
        )
        jobs = job_requests(wishes, entry=prepared.entry, location=prepared.location, owner=record.owner)
        run = Run(record, jobs)
        self._runs[record.owner, record.task_uuid] = run
        work = asyncio.create_task(self._work_on(run, task, prepared.entry), name=f"task {record.task_uuid}")
        self._work.add(work)
        work.add_done_callback(self._work.discard)
        return run

    async def _work_on(self, run: Run, task: ImageInferenceTask, entry: ModelEntry) -> None:
        started_s = time.monotonic()
        record = run.record
        try:
            outcomes = self._engine.submit(run.jobs, on_progress=run.note)
            results = [
                self._result(run, position, outcome, task, entry) for position, outcome in enumerate(outcomes)
            ]
            failures = [failure for failure in await asyncio.gather(*results) if failure is not None]
            if any(failure.code == "stopping" for failure in failures):
                run.interrupted = True
            elif failures:
                code = _ERROR_CODES.get(failures[0].code, "inferenceError")
                await self._fail(record, TaskError(code, failures[0].message))
            else:
                await asyncio.to_thread(self._journal.succeed, record)
                await self._discard_seed(record)
                log.info(
                    "task %s: %d pictures of %dx%d in %.2f s",
                    record.task_uuid,
                    len(run.jobs),
                    task.width,
                    task.height,
                    time.monotonic() - started_s,
                )
        except Exception:
            log.exception("task %s failed unexpectedly", record.task_uuid)
            await self._fail(record, TaskError("internalServerError", "the server failed; its log says how"))
        finally:
            del self._runs[record.owner, record.task_uuid]
            run.finished.set()

    async def _result(
        self,
        run: Run,
        position: int,
        outcome: asyncio.Future[Outcome],
        task: ImageInferenceTask,
        entry: ModelEntry,
    ) -> Failed | None:
        """Wait for one picture and store it; the failure, if it does not come."""
        finished = await outcome
        if isinstance(finished, Failed):
            return finished
        job = run.jobs[position]
        parameters = picture_parameters(job, entry, finished) if self._settings.embed_parameters else None
        data = await asyncio.to_thread(
            encode_image,
            Image.fromarray(finished.picture),
            format=task.output_format,
            quality=task.output_quality,
            parameters=parameters,
        )
        extension = EXTENSIONS[task.output_format]
        image_uuid = await self._pictures.keep(
            data,
            extension=extension,
            kind="result",
            size=(job.width_px, job.height_px),
            owner=run.record.owner,
            ttl_s=run.record.expires_s - time.time(),
        )
        result = ResultRecord(
            image_uuid=image_uuid, extension=extension, seed=job.seed, steps_run=finished.steps_run
        )
        await asyncio.to_thread(self._journal.add_result, run.record, position, result)
        return None

    async def _fail(self, record: TaskRecord, error: TaskError) -> None:
        item = error.item(task_uuid=record.task_uuid, task_type=record.task_type)
        await asyncio.to_thread(self._journal.fail, record, item, status_code=error.status_code)
        await self._discard_seed(record)

    async def _discard_seed(self, record: TaskRecord) -> None:
        if "seedImage" in record.request:
            await self._pictures.discard_seed(record.request["seedImage"])


def _conflict(task_uuid: str) -> TaskError:
    return TaskError(
        "conflictTaskUUID",
        f"a task {task_uuid} was already accepted; getResponse has its results",
        parameter="taskUUID",
    )


def _fitted(image: Image.Image, task: ImageInferenceTask) -> Picture:
    fitted = fit_image(image, width_px=task.width, height_px=task.height, mode=task.fit)
    return np.asarray(fitted, dtype=np.uint8)
