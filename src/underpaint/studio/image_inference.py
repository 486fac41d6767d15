"""imageInference and the other tasks that make pictures: checks them, accepts them, and takes them up again after a
restart.

Everything that can be wrong with a task is found before it is accepted: after its acknowledgement only the engine can
fail. An accepted task belongs to the studio, not to the connection that sent it.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from underpaint.blocking import in_thread
from underpaint.catalog import Catalog
from underpaint.engine.preprocessor_process import PreprocessorProcess
from underpaint.engine.process import EngineProcess
from underpaint.settings import Settings
from underpaint.studio.caller import Caller
from underpaint.studio.cancellation import CANCELLED, Cancellation
from underpaint.studio.disk import BYTES_PER_PIXEL, DiskBudget, unforeseen
from underpaint.studio.input_image import InputImages
from underpaint.studio.inputs import Inputs, without_pictures
from underpaint.studio.journal import Journal, TaskRecord
from underpaint.studio.outcomes import Outcomes
from underpaint.studio.pictures import Pictures
from underpaint.studio.preparing import Preparation, Prepared
from underpaint.studio.preprocessing import LONGEST_SIDE_PX, Preprocessing
from underpaint.studio.progress import OnProgress
from underpaint.studio.reference_images import pixels_of
from underpaint.studio.room import Place, Room
from underpaint.studio.run import Run
from underpaint.studio.safety import Safety
from underpaint.studio.upscaling import Upscaling
from underpaint.studio.webhooks import check_destinations
from underpaint.studio.workbench import Workbench
from underpaint.wire import (
    ControlNetPreprocessTask,
    ImageInferenceTask,
    TaskError,
    UpscaleTask,
    parse_task,
)

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""Times that a task is begun, across restarts of the server, until it is taken for the cause of them."""
_RANDOM_SEED_BITS = 32
"""Drawn seeds stay below 2^32, which every JSON reader keeps exact."""


class _Arrival:
    """A task that is being checked, and not accepted yet."""

    def __init__(self, key: tuple[str, str], cancellation: Cancellation) -> None:
        self.key = key
        self.cancellation = cancellation
        self.over = asyncio.Event()
        """Set when it is accepted or refused."""


class ImageInference:
    """Accepts tasks that make pictures."""

    def __init__(
        self,
        *,
        settings: Settings,
        catalog: Catalog,
        pictures: Pictures,
        journal: Journal,
        engine: EngineProcess,
        preprocessors: PreprocessorProcess,
    ) -> None:
        self._settings = settings
        self._upscaling = Upscaling(pictures)
        self._preprocessing = Preprocessing(settings=settings, pictures=pictures)
        self._preparation = Preparation(catalog=catalog, pictures=pictures)
        self._pictures = pictures
        self._journal = journal
        self._inputs = Inputs(journal=journal, pictures=pictures)
        self._outcomes = Outcomes(
            journal=journal,
            pictures=pictures,
            embed_parameters=settings.embed_parameters,
            result_ttl_s=settings.result_ttl_s,
        )
        self._disk = DiskBudget(settings, pictures)
        self._input_images = InputImages(pictures, disk=self._disk, upload_ttl_s=settings.upload_ttl_s)
        self.safety = Safety(settings)
        """Looks at results, for those who ask."""
        self._resumed = False
        self._room = Room(results=settings.queue_limit)
        self._arrivals: set[_Arrival] = set()
        self.work = Workbench(
            settings=settings,
            journal=journal,
            engine=engine,
            preprocessors=preprocessors,
            inputs=self._inputs,
            outcomes=self._outcomes,
        )
        """The tasks that were accepted, until they are over."""

    async def accept(
        self,
        task: ImageInferenceTask | UpscaleTask | ControlNetPreprocessTask,
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
        with self._arriving(caller.owner, task.task_uuid, cancellation):
            if isinstance(task, ImageInferenceTask):
                return await self._accept(task, raw, caller, cancellation, on_progress)
            if await in_thread(self._journal.has, caller.owner, task.task_uuid):
                raise _conflict(task.task_uuid)
            async with self._input_images.kept(task, raw, caller.owner) as (kept, request):
                if cancellation.requested:
                    raise TaskError("taskCancelled", CANCELLED)
                if isinstance(kept, UpscaleTask):
                    inference = await self._upscaling.as_inference(kept, caller.owner)
                    return await self._accept(inference, request, caller, cancellation, on_progress)
                return await self._accept_guide_image(kept, request, caller, cancellation, on_progress)

    @contextmanager
    def _arriving(self, owner: str, task_uuid: str, cancellation: Cancellation) -> Iterator[None]:
        """From here on the task can be cancelled, by its UUID."""
        arrival = _Arrival((owner, task_uuid), cancellation)
        self._arrivals.add(arrival)
        try:
            yield
        finally:
            self._arrivals.discard(arrival)
            arrival.over.set()

    async def _accept_guide_image(
        self,
        task: ControlNetPreprocessTask,
        raw: Mapping[str, Any],
        caller: Caller,
        cancellation: Cancellation,
        on_progress: OnProgress | None,
    ) -> Run:
        most_pixels = (task.width or LONGEST_SIDE_PX) * (task.height or LONGEST_SIDE_PX)
        place = self._room.enter(caller, results=1, pixels_each=most_pixels)
        try:
            check_destinations(task, self._pictures.fetcher)
            await self._disk.check(self._room.pixels * BYTES_PER_PIXEL)
            request = await self._preprocessing.prepare(task, caller.owner)
            place.pixels_each = request.pixels
            if cancellation.requested:
                raise TaskError("taskCancelled", CANCELLED)
            record = self._record(task, raw, caller, seed=0)
            if not await in_thread(self._journal.accept, record):
                raise _conflict(task.task_uuid)
        except BaseException:
            place.leave()
            raise
        return self.work.begin_guide_image(
            record,
            task,
            request,
            cancellation,
            place,
            awaited=not record.asynchronous,
            on_progress=on_progress,
        )

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
        run = self.work.find(owner, task_uuid)
        if run is not None:
            run.cancellation.request()
            await run.finished.wait()
            await run.answered.wait()
        return bool(arrivals) or run is not None

    async def give_up(self, record: TaskRecord) -> None:
        """Write down that an accepted task is cancelled on which nothing works any more."""
        await self._outcomes.fail(record, TaskError("taskCancelled", CANCELLED))
        await in_thread(self._inputs.discard, record)

    async def _accept(
        self,
        task: ImageInferenceTask,
        raw: Mapping[str, Any],
        caller: Caller,
        cancellation: Cancellation,
        on_progress: OnProgress | None,
    ) -> Run:
        if self.work.find(caller.owner, task.task_uuid) is not None:
            raise _conflict(task.task_uuid)
        try:
            place = self._room.enter(caller, results=task.number_results, pixels_each=pixels_of(task))
            try:
                return await self._accept_into(place, task, raw, caller, cancellation, on_progress)
            except BaseException:
                place.leave()
                raise
        except TaskError:
            # The journal refuses what it has already. A task that is sent again and does not get that far, as the queue
            # is full or its seed image is gone, is a conflict all the same.
            if await in_thread(self._journal.has, caller.owner, task.task_uuid):
                raise _conflict(task.task_uuid) from None
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
        safety_check = await self.safety.wanted(task, raw)
        prepared = await self._preparation.prepare_unless_cancelled(task, caller.owner, cancellation)
        seed = task.seed or 1 + secrets.randbelow(2**_RANDOM_SEED_BITS - 1)
        record = self._record(task, raw, caller, seed=seed)

        def read_and_write_down() -> tuple[Prepared, TaskRecord | None]:
            ready = self._preparation.with_seed(prepared)
            if cancellation.requested:
                raise TaskError("taskCancelled", CANCELLED)
            return ready, self._inputs.write_down(record, ready)

        # In one thread: each change of threads takes as long as writing it down.
        ready, accepted = await self._pictures.incoming.in_decoding_thread(read_and_write_down)
        if accepted is None:
            raise _conflict(task.task_uuid)
        return self.work.begin(
            accepted,
            ready,
            cancellation,
            place,
            safety_check=safety_check,
            awaited=not record.asynchronous,
            on_progress=on_progress,
        )

    def _record(
        self,
        task: ImageInferenceTask | ControlNetPreprocessTask,
        raw: Mapping[str, Any],
        caller: Caller,
        *,
        seed: int,
    ) -> TaskRecord:
        return TaskRecord(
            owner=caller.owner,
            task_uuid=task.task_uuid,
            task_type=task.task_type,
            request=without_pictures(raw),
            base_url=caller.base_url,
            asynchronous=task.answered_at_once,
            seed=seed,
            expires_s=time.time() + float(task.ttl_s or self._settings.result_ttl_s),
        )

    async def resume(self) -> None:
        """Begin again with the tasks that a stopped or crashed server left unfinished."""
        for record in await in_thread(self._journal.unfinished):
            log.info("task %s goes on after a restart", record.task_uuid)
            await in_thread(self._journal.begin_again, record)
            try:
                if record.attempts >= MAX_ATTEMPTS:
                    raise TaskError(
                        "inferenceError", "the server stopped each time that it worked on this task"
                    )
                task = parse_task(record.request)
                if isinstance(task, ControlNetPreprocessTask):
                    request = await self._preprocessing.prepare(task, record.owner)
                    place = self._room.claim(record.owner, results=1, pixels_each=request.pixels)
                    self.work.begin_guide_image(record, task, request, Cancellation(), place, awaited=False)
                    continue
                if isinstance(task, UpscaleTask):
                    task = await self._upscaling.as_inference(task, record.owner)
                assert isinstance(task, ImageInferenceTask), "only tasks that make pictures are written down"
                safety_check = await self.safety.wanted(task, record.request)
                prepared = await self._preparation.prepare(task, record.owner)
                prepared = await self._pictures.incoming.in_decoding_thread(
                    partial(self._preparation.with_seed, prepared)
                )
                # It was accepted: the bounds of what may be are not for it.
                place = self._room.claim(
                    record.owner, results=task.number_results, pixels_each=pixels_of(task)
                )
                self.work.begin(
                    record, prepared, Cancellation(), place, safety_check=safety_check, awaited=False
                )
            except TaskError as error:
                await self._outcomes.fail(record, error)
                await in_thread(self._inputs.discard, record)
            except Exception as failure:
                # Of one task: the others go on, and the server starts.
                log.exception("task %s cannot go on", record.task_uuid)
                await self._outcomes.fail(record, unforeseen(failure))
                await in_thread(self._inputs.discard, record)
        self._resumed = True

    async def sweep(self) -> None:
        """Remove what a crash left of tasks that are over."""
        # Before, nobody knows which tasks go on.
        if self._resumed:
            await self.work.remove_stray_checkpoints()


def _conflict(task_uuid: str) -> TaskError:
    return TaskError(
        "conflictTaskUUID",
        f"a task {task_uuid} was already accepted; getResponse has its results",
        parameter="taskUUID",
    )
