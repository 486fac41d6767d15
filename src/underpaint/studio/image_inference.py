"""imageInference: from an accepted task to its pictures.

Everything that can be wrong with a task is found before it is accepted: after its acknowledgement only the engine can
fail. An accepted task belongs to the studio, not to the connection that sent it.
"""

import asyncio
import logging
import random
import time
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from PIL import Image

from underpaint.catalog import Catalog, ModelEntry
from underpaint.engine.checkpoint_files import (
    checkpoint_name,
    remove_checkpoints,
    remove_stray_checkpoints,
)
from underpaint.engine.messages import Failed, Finished
from underpaint.engine.process import EngineProcess, Outcome
from underpaint.images import EXTENSIONS, encode_image
from underpaint.images.containers import ImageFormat, sniff_format
from underpaint.settings import Settings
from underpaint.studio.caller import Caller
from underpaint.studio.cancellation import CANCELLED, Cancellation
from underpaint.studio.disk import BYTES_PER_PIXEL, DiskBudget
from underpaint.studio.journal import Journal, ResultRecord, TaskRecord
from underpaint.studio.making import picture_parameters
from underpaint.studio.options import CHECKPOINTS
from underpaint.studio.outlook import Outlook
from underpaint.studio.pictures import Pictures, PutImage
from underpaint.studio.preparing import Preparation, Prepared
from underpaint.studio.progress import OnProgress, Reporter
from underpaint.studio.requests import Wishes, job_requests
from underpaint.studio.room import Place, Room
from underpaint.studio.run import Run
from underpaint.studio.webhooks import check_destinations, failure_deliveries, result_deliveries
from underpaint.wire import ImageInferenceTask, TaskError, parse_task

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""Times that a task is begun, across restarts of the server, until it is taken for the cause of them."""
STRAY_AGE_S = 60.0
"""A younger checkpoint may be of a task that was accepted only now."""
_RANDOM_SEED_BITS = 32
"""Drawn seeds stay below 2^32, which every JSON reader keeps exact."""
_PICTURES = ("seedImage", "maskImage", "inputs")
"""Parameters that hold pictures: they are kept as files, under UUIDs."""

SEED_EXTENSIONS: dict[ImageFormat, str] = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}

_ERROR_CODES = {"modelLoad": "modelNotReady"}
"""By the engine's failure codes; all others are inferenceError."""


class _Arrival:
    """A task that is being checked, and not accepted yet."""

    def __init__(self, key: tuple[str, str], cancellation: Cancellation) -> None:
        self.key = key
        self.cancellation = cancellation
        self.over = asyncio.Event()
        """Set when it is accepted or refused."""


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
        self._preparation = Preparation(settings=settings, catalog=catalog, pictures=pictures)
        self._pictures = pictures
        self._journal = journal
        self._engine = engine
        self._disk = DiskBudget(settings, pictures)
        self._checkpoints = settings.data_dir / CHECKPOINTS
        self._resumed = False
        self._room = Room(results=settings.queue_limit)
        self._runs: dict[tuple[str, str], Run] = {}
        self._arrivals: set[_Arrival] = set()
        self._work: set[asyncio.Task[None]] = set()
        self._reports: set[asyncio.Task[None]] = set()
        self.outlook = Outlook(engine, self._runs.values)
        """When the pictures will be done."""

    @property
    def jobs_waiting(self) -> int:
        """Pictures that are accepted and that the engine has not begun."""
        return sum(run.waiting for run in self._runs.values())

    @property
    def jobs_running(self) -> int:
        """Pictures that the engine is making."""
        return sum(run.running for run in self._runs.values())

    def find(self, owner: str, task_uuid: str) -> Run | None:
        """A task that is being worked on."""
        return self._runs.get((owner, task_uuid))

    async def accept(
        self,
        task: ImageInferenceTask,
        raw: Mapping[str, Any],
        caller: Caller,
        *,
        cancellation: Cancellation,
        on_progress: OnProgress | None = None,
    ) -> Run:
        """Check a task, write it down and begin with it.

        Args:
            task: what is asked for.
            raw: the task as JSON gave it.
            caller: who asks.
            cancellation: ends the task, from now on.
            on_progress: is told how far it is, if the task asks for that.

        Raises:
            TaskError: it is not acceptable, or was cancelled before it was accepted; nothing of it is kept.
        """
        arrival = _Arrival((caller.owner, task.task_uuid), cancellation)
        self._arrivals.add(arrival)
        try:
            return await self._accept(task, raw, caller, cancellation, on_progress)
        finally:
            self._arrivals.discard(arrival)
            arrival.over.set()

    async def cancel(self, owner: str, task_uuid: str) -> bool:
        """End a task that is not over, and wait until it is, and its caller has its answer.

        Returns:
            Whether there was anything to end. A task whose pictures are all made still ends well.
        """
        key = (owner, task_uuid)
        arrivals = [arrival for arrival in self._arrivals if arrival.key == key]
        for arrival in arrivals:
            arrival.cancellation.request()
        for arrival in arrivals:
            await arrival.over.wait()
        run = self._runs.get(key)
        if run is not None:
            run.cancellation.request()
            await run.finished.wait()
            await run.answered.wait()
        return bool(arrivals) or run is not None

    async def give_up(self, record: TaskRecord) -> None:
        """Write down that an accepted task is cancelled on which nothing works any more."""
        await self._fail(record, TaskError("taskCancelled", CANCELLED))
        await self._discard_seed(record)

    async def _accept(
        self,
        task: ImageInferenceTask,
        raw: Mapping[str, Any],
        caller: Caller,
        cancellation: Cancellation,
        on_progress: OnProgress | None,
    ) -> Run:
        if await asyncio.to_thread(self._journal.has, caller.owner, task.task_uuid):
            raise _conflict(task.task_uuid)
        place = self._room.enter(caller, results=task.number_results, pixels_each=task.width * task.height)
        try:
            return await self._accept_into(place, task, raw, caller, cancellation, on_progress)
        except BaseException:
            place.leave()
            raise

    async def _accept_into(
        self,
        place: Place,
        task: ImageInferenceTask,
        raw: Mapping[str, Any],
        caller: Caller,
        cancellation: Cancellation,
        on_progress: OnProgress | None,
    ) -> Run:
        check_destinations(task, self._pictures.fetcher)
        await self._disk.check(self._room.pixels * BYTES_PER_PIXEL)
        prepared = await self._preparation.prepare_unless_cancelled(task, caller.owner, cancellation)
        request = {name: value for name, value in raw.items() if name not in _PICTURES}
        ttl_s = float(task.ttl_s or self._settings.result_ttl_s)
        record = TaskRecord(
            owner=caller.owner,
            task_uuid=task.task_uuid,
            task_type=task.task_type,
            request=request,
            base_url=caller.base_url,
            asynchronous=task.answered_at_once,
            seed=task.seed or random.SystemRandom().randrange(1, 2**_RANDOM_SEED_BITS),
            expires_s=time.time() + ttl_s,
        )
        accepted = await asyncio.to_thread(self._write_down, record, prepared)
        if accepted is None:
            raise _conflict(task.task_uuid)
        record = accepted
        if not (task.progress or task.previews):
            on_progress = None
        run = self._begin(
            record,
            task,
            prepared,
            cancellation,
            place,
            awaited=not record.asynchronous,
            previews=task.previews and on_progress is not None,
        )
        if on_progress is not None:
            _keep(
                self._reports,
                Reporter(run, self.outlook, on_progress).report(),
                f"progress of {task.task_uuid}",
            )
        return run

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
                prepared = await self._preparation.prepare(task, record.owner)
                # It was accepted: the bounds of what may be are not for it.
                place = self._room.claim(
                    record.owner, results=task.number_results, pixels_each=task.width * task.height
                )
                self._begin(record, task, prepared, Cancellation(), place, awaited=False)
            except TaskError as error:
                await self._fail(record, error)
                await self._discard_seed(record)
        self._resumed = True

    async def sweep(self) -> None:
        """Remove what a crash left of jobs that are over."""
        if self._resumed:
            names = {job.checkpoint for run in self._runs.values() for job in run.jobs if job.checkpoint}
            await asyncio.to_thread(
                remove_stray_checkpoints, self._checkpoints, except_names=names, age_s=STRAY_AGE_S
            )

    async def drain(self, grace_s: float) -> None:
        """Wait for the tasks that are being worked on, for `grace_s` seconds at most."""
        if self._work:
            await asyncio.wait(self._work, timeout=grace_s)

    async def settle(self) -> None:
        """Wait until every task has noticed that the engine has stopped."""
        if self._work:
            await asyncio.wait(self._work)
        for report in self._reports:
            report.cancel()

    def _write_down(self, record: TaskRecord, prepared: Prepared) -> TaskRecord | None:
        """Enter a task into the journal, with the seed image as it came and the mask, for running it again.

        Returns:
            The task as the journal has it; None if it has another of that UUID.
        """
        files: dict[str, bytes] = {}
        if prepared.seed_file is not None:
            files["seedImage"] = prepared.seed_file
        if prepared.mask is not None and "outpaint" not in record.request:
            files["maskImage"] = encode_image(Image.fromarray(prepared.mask), format="PNG")
        kept = {name: self._keep_seed(data, record) for name, data in files.items()}
        request = {**record.request, **{name: put.image_uuid for name, put in kept.items()}}
        record = replace(record, request=request)
        if self._journal.accept(record, along=[put.record for put in kept.values()]):
            return record
        for put in kept.values():
            self._pictures.take_back(put)
        return None

    def _keep_seed(self, data: bytes, record: TaskRecord) -> PutImage:
        format = sniff_format(data)
        assert format is not None, "it has been decoded"
        return self._pictures.put(
            data,
            extension=SEED_EXTENSIONS[format],
            kind="seed",
            # Not looked up: nobody is ever told about this picture.
            size=(0, 0),
            owner=record.owner,
            ttl_s=record.expires_s - time.time(),
            flush=record.asynchronous,
        )

    def _begin(
        self,
        record: TaskRecord,
        task: ImageInferenceTask,
        prepared: Prepared,
        cancellation: Cancellation,
        place: Place,
        *,
        awaited: bool,
        previews: bool = False,
    ) -> Run:
        wishes = Wishes(
            prompt=task.positive_prompt,
            negative_prompt=task.negative_prompt,
            width_px=task.width,
            height_px=task.height,
            picture=prepared.picture,
            mask=prepared.mask,
            mask_margin_px=task.mask_margin,
            strength=task.strength,
            steps=task.steps,
            guidance_scale=task.cfg_scale,
            scheduler=task.scheduler,
            seed=record.seed,
            results=task.number_results,
            clip_skip=task.clip_skip,
            prompt_weighting=task.prompt_weighting,
            refiner=prepared.refiner,
            passes=task.passes,
            previews=previews,
        )
        jobs = job_requests(wishes, entry=prepared.entry, location=prepared.location, owner=record.owner)
        made = {result.position for result in record.results}
        positions = tuple(position for position in range(len(jobs)) if position not in made)
        jobs = tuple(
            replace(jobs[position], checkpoint=checkpoint_name(record.owner, record.task_uuid, position))
            for position in positions
        )
        place.results = len(jobs)
        run = Run(record, jobs, cancellation, place, awaited=awaited, positions=positions)
        self._runs[record.owner, record.task_uuid] = run
        _keep(self._work, self._work_on(run, task, prepared.entry), f"task {record.task_uuid}")
        return run

    async def _work_on(self, run: Run, task: ImageInferenceTask, entry: ModelEntry) -> None:
        started_s = time.monotonic()
        record = run.record
        try:
            outcomes = self._engine.submit(run.jobs, on_progress=run.note)
            run.cancellation.stops(partial(self._engine.cancel, [job.job_id for job in run.jobs]))
            results = [
                self._result(run, position, outcome, task, entry) for position, outcome in enumerate(outcomes)
            ]
            made = await asyncio.gather(*results)
            failures = [each for each in made if isinstance(each, Failed)]
            codes = {failure.code for failure in failures}
            if "cancelled" in codes:
                await self._fail(record, TaskError("taskCancelled", CANCELLED))
            elif "stopping" in codes:
                run.interrupted = True
            elif failures:
                code = _ERROR_CODES.get(failures[0].code, "inferenceError")
                await self._fail(record, TaskError(code, failures[0].message))
            else:
                if len(run.jobs) != 1:
                    await asyncio.to_thread(self._journal.succeed, record)
                if len(made) == task.number_results:
                    results_made = tuple(each for each in made if isinstance(each, ResultRecord))
                    run.outcome = replace(record, status="success", results=results_made)
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
            run.place.leave()
            run.finished.set()
        if run.interrupted:
            # An orderly stop says nothing against the task.
            await asyncio.to_thread(self._journal.begun_in_vain, record)
        else:
            # Only now: nobody has to wait for it.
            await self._discard_seed(record)
            names = [job.checkpoint for job in run.jobs if job.checkpoint is not None]
            await asyncio.to_thread(remove_checkpoints, self._checkpoints, names)

    async def _result(
        self,
        run: Run,
        position: int,
        outcome: asyncio.Future[Outcome],
        task: ImageInferenceTask,
        entry: ModelEntry,
    ) -> Failed | ResultRecord:
        """Wait for one picture and store it; the failure, if it does not come."""
        finished = await outcome
        run.note_done(run.jobs[position].job_id)
        if isinstance(finished, Failed):
            return finished
        job = run.jobs[position]
        parameters = None
        if self._settings.embed_parameters:
            parameters = picture_parameters(job, entry, finished, refiner=task.refiner)
        return await asyncio.to_thread(self._store_result, run, position, finished, task, parameters)

    def _store_result(
        self,
        run: Run,
        position: int,
        finished: Finished,
        task: ImageInferenceTask,
        parameters: Mapping[str, object] | None,
    ) -> ResultRecord:
        """Encode a picture and write it down; with the only one of a task, its success, too. Blocks."""
        job = run.jobs[position]
        data = encode_image(
            Image.fromarray(finished.picture),
            format=task.output_format,
            quality=task.output_quality,
            parameters=parameters,
        )
        extension = EXTENSIONS[task.output_format]
        kept = self._pictures.put(
            data,
            extension=extension,
            kind="result",
            size=(job.width_px, job.height_px),
            owner=run.record.owner,
            ttl_s=run.record.expires_s - time.time(),
        )
        result = ResultRecord(
            image_uuid=kept.image_uuid, extension=extension, seed=job.seed, steps_run=finished.steps_run
        )
        self._journal.add_result(
            run.record,
            run.positions[position],
            result,
            due=result_deliveries(run.record, task, result, self._pictures.links),
            along=[kept.record],
            last=len(run.jobs) == 1,
        )
        return result

    async def _fail(self, record: TaskRecord, error: TaskError) -> None:
        item = error.item(task_uuid=record.task_uuid, task_type=record.task_type)
        due = failure_deliveries(record, item)
        await asyncio.to_thread(self._journal.fail, record, item, status_code=error.status_code, due=due)

    async def _discard_seed(self, record: TaskRecord) -> None:
        for name in ("seedImage", "maskImage"):
            if name in record.request:
                await self._pictures.discard_seed(record.request[name])


def _keep(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None], name: str) -> None:
    """Start something that nobody waits for: the event loop itself holds it but weakly."""
    task = asyncio.create_task(work, name=name)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


def _conflict(task_uuid: str) -> TaskError:
    return TaskError(
        "conflictTaskUUID",
        f"a task {task_uuid} was already accepted; getResponse has its results",
        parameter="taskUUID",
    )
