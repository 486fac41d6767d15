"""The end of a task: its pictures are stored, what became of it is written down, and what is due because of it."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from PIL import Image

from underpaint.blocking import in_thread
from underpaint.catalog import ModelEntry
from underpaint.engine.messages import Failed, Finished, JobRequest
from underpaint.engine.process import Outcome
from underpaint.images import EXTENSIONS, encode_image
from underpaint.studio.journal import Journal, ResultRecord, TaskRecord
from underpaint.studio.making import picture_parameters
from underpaint.studio.persistence import is_passing, until_written
from underpaint.studio.pictures import Pictures
from underpaint.studio.run import Run
from underpaint.studio.upscaling import UpscaleInference
from underpaint.studio.webhooks import failure_deliveries, result_deliveries
from underpaint.version import __version__
from underpaint.wire import ControlNetPreprocessTask, ImageInferenceTask, PictureTask, TaskError

Written = TypeVar("Written")


class Outcomes:
    """Stores results and failures. While the database is out of reach, they wait for it.

    Args:
        journal: where they are written down.
        pictures: where pictures go.
        embed_parameters: whether a picture says how it was made.
        result_ttl_s: how long results are kept whose task does not say.
    """

    def __init__(
        self, *, journal: Journal, pictures: Pictures, embed_parameters: bool, result_ttl_s: float
    ) -> None:
        self._journal = journal
        self._pictures = pictures
        self._embed_parameters = embed_parameters
        self._result_ttl_s = result_ttl_s
        self.stopping = asyncio.Event()
        """Set when there is no time left to wait for the database."""

    async def result(
        self,
        run: Run,
        position: int,
        outcome: asyncio.Future[Outcome],
        task: ImageInferenceTask,
        entry: ModelEntry,
    ) -> Failed | ResultRecord:
        """Wait for one picture and store it; the failure, if it does not come."""
        job = run.jobs[position]
        assert isinstance(job, JobRequest), "the task makes pictures"
        finished = await outcome
        run.note_done(job.job_id)
        if isinstance(finished, Failed):
            return finished
        assert job.safety_check is None or finished.unsafe is not None, "it was asked for"
        parameters = None
        if self._embed_parameters:
            parameters = picture_parameters(job, entry, finished)
        store = partial(self._store, run, position, finished, task, parameters, seed=job.seed)
        return await self._when_possible(run.record, store)

    async def guide_image(
        self, run: Run, position: int, outcome: asyncio.Future[Outcome], task: ControlNetPreprocessTask
    ) -> Failed | ResultRecord:
        """Wait for a guide image and store it; the failure, if it does not come."""
        finished = await outcome
        run.note_done(run.jobs[position].job_id)
        if isinstance(finished, Failed):
            return finished
        parameters = None
        if self._embed_parameters:
            parameters = {"preProcessorType": task.pre_processor_type, "version": __version__}
        store = partial(self._store, run, position, finished, task, parameters, seed=0)
        return await self._when_possible(run.record, store)

    async def succeed(self, run: Run) -> None:
        """Write down that all pictures of a task are there. That of a single one was written down with it."""
        if len(run.jobs) != 1:
            await self._when_possible(run.record, partial(self._journal.succeed, run.record))

    async def fail(
        self, record: TaskRecord, error: TaskError, *, delayed: Callable[[], object] = lambda: None
    ) -> None:
        """Write down why a task ends without its pictures.

        Args:
            record: the task.
            error: what went wrong.
            delayed: called when that takes longer, as the database cannot be written to.
        """
        item = error.item(task_uuid=record.task_uuid, task_type=record.task_type)
        due = failure_deliveries(record, item)
        write = partial(self._journal.fail, record, item, status_code=error.status_code, due=due)
        await until_written(
            partial(in_thread, write),
            what=f"the failure of task {record.task_uuid}",
            stopping=self.stopping,
            delayed=delayed,
        )

    async def _when_possible(self, record: TaskRecord, write: Callable[[], Written]) -> Written:
        return await until_written(
            partial(in_thread, write),
            what=f"a result of task {record.task_uuid}",
            stopping=self.stopping,
            again_after=is_passing,
        )

    def _store(
        self,
        run: Run,
        position: int,
        finished: Finished,
        task: PictureTask,
        parameters: Mapping[str, object] | None,
        *,
        seed: int,
    ) -> ResultRecord:
        """Encode a picture and write it down; with the only one of a task, its success, too. Blocks."""
        image = Image.fromarray(finished.picture)
        if isinstance(task, UpscaleInference):
            final = (task.final_width_px, task.final_height_px)
            image = image if image.size == final else image.resize(final, Image.Resampling.LANCZOS)
        data = encode_image(
            image,
            format=task.output_format,
            quality=task.output_quality,
            parameters=parameters,
        )
        extension = EXTENSIONS[task.output_format]
        kept = self._pictures.put(
            data,
            extension=extension,
            kind="result",
            size=image.size,
            owner=run.record.owner,
            ttl_s=float(task.ttl_s or self._result_ttl_s),
        )
        result = ResultRecord(
            image_uuid=kept.image_uuid,
            extension=extension,
            seed=seed,
            steps_run=finished.steps_run,
            unsafe=finished.unsafe,
        )
        try:
            self._journal.add_result(
                run.record,
                run.positions[position],
                result,
                due=result_deliveries(run.record, task, result, self._pictures.links),
                along=kept.records,
                last=len(run.jobs) == 1,
            )
        except BaseException:
            self._pictures.take_back(kept)
            raise
        return result
