"""The studio: one task in, one reply out.

It owns everything that has to outlive a request: the engine, the journal, the pictures, and the tasks in progress.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Engine

from underpaint.blocking import in_thread
from underpaint.catalog import Catalog, CatalogError
from underpaint.engine.messages import ModelReference
from underpaint.engine.preprocessor_process import PreprocessorProcess
from underpaint.engine.process import Doings, EngineProcess
from underpaint.images import DecodeLimits, Fetcher, FetchPolicy, ImageStore
from underpaint.settings import Settings
from underpaint.studio.caller import Caller, OnPart, Reply
from underpaint.studio.cancellation import Cancellation
from underpaint.studio.cancelling import cancel_task
from underpaint.studio.deliveries import Outbox
from underpaint.studio.disk import DiskBudget, unforeseen
from underpaint.studio.image_inference import ImageInference
from underpaint.studio.journal import Journal
from underpaint.studio.links import links_by
from underpaint.studio.model_search import search_models
from underpaint.studio.model_upload import ModelUploads
from underpaint.studio.options import engine_options
from underpaint.studio.pictures import OpenedImage, Pictures
from underpaint.studio.polling import Polling
from underpaint.studio.progress import OnProgress
from underpaint.studio.replies import outcome_reply
from underpaint.studio.requests import RUNNABLE_ARCHITECTURES
from underpaint.studio.run import Run
from underpaint.studio.uploads import Uploads
from underpaint.studio.webhooks import Webhooks
from underpaint.wire import (
    Acknowledgement,
    CancelTask,
    ControlNetPreprocessTask,
    GetResponseTask,
    GetTaskDetailsTask,
    ImageInferenceTask,
    ImageUploadTask,
    MediaStorageTask,
    ModelSearchTask,
    ModelUploadTask,
    Task,
    TaskError,
    UpscaleTask,
    parse_task,
    task_identity,
)

log = logging.getLogger(__name__)

SWEEP_INTERVAL_S = 60.0
ORPHANS_INTERVAL_S = 3600.0
WEBHOOK_SECRETS = "webhook-secrets"
"""File in the data folder."""


@dataclass(frozen=True, kw_only=True)
class StudioStatus:
    """What the studio is doing at the moment; `waiting` and `running` count pictures."""

    ready: bool
    draining: bool
    waiting: int
    running: int
    engine_restarts: int
    engine: Doings = field(default_factory=Doings)


class Studio:
    """Runs tasks. Made by `open_studio`."""

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
        self._catalog = catalog
        self._pictures = pictures
        self._journal = journal
        self._engine = engine
        self._preprocessors = preprocessors
        self._inference = ImageInference(
            settings=settings,
            catalog=catalog,
            pictures=pictures,
            journal=journal,
            engine=engine,
            preprocessors=preprocessors,
        )
        self._model_uploads = ModelUploads(catalog, settings)
        self._uploads = Uploads(
            pictures, disk=DiskBudget(settings, pictures), upload_ttl_s=settings.upload_ttl_s
        )
        self._polling = Polling(inference=self._inference, journal=journal, pictures=pictures)
        self._draining = False

    async def perform(
        self,
        raw: object,
        caller: Caller,
        *,
        hold_s: float = 0.0,
        on_progress: OnProgress | None = None,
        on_part: OnPart | None = None,
        cancellation: Cancellation | None = None,
    ) -> Reply:
        """Run one task and answer it. Never raises.

        An asynchronous task is answered with its acknowledgement, a synchronous one with its outcome. Cancelling this
        call does not cancel an accepted task: getResponse has its results.

        Args:
            raw: the task as JSON gave it.
            caller: who sent it.
            hold_s: how long a getResponse may be held open for its task's end.
            on_progress: is told how far the task is, if the task asks for that: for an asynchronous one also after its
                acknowledgement. Never called once the task's outcome can be had.
            on_part: is given items of the reply that there are before its end, which the reply then lacks; without it
                they wait for the others.
            cancellation: ends a synchronous task whose caller has gone. An asynchronous one goes on.
        """
        try:
            task = parse_task(raw)
            if isinstance(task, ImageInferenceTask | UpscaleTask | ControlNetPreprocessTask):
                return await self._infer(
                    task, cast("Mapping[str, Any]", raw), caller, on_progress, cancellation or Cancellation()
                )
            return await self._perform(task, caller, hold_s, on_part)
        except TaskError as error:
            return _error_reply(error, raw)
        except Exception as failure:
            log.exception("a task failed unexpectedly")
            return _error_reply(unforeseen(failure), raw)

    async def open_image(
        self, image_uuid: str, extension: str, *, expires: str = "", signed: str = ""
    ) -> OpenedImage | None:
        """The file of a stored picture, by a link to it; see `Pictures.open`."""
        return await self._pictures.open(image_uuid, extension, expires=expires, signed=signed)

    def status(self) -> StudioStatus:
        """What it is doing at the moment."""
        return StudioStatus(
            ready=self._engine.state == "ready" and not self._draining,
            draining=self._draining,
            waiting=self._inference.work.waiting,
            running=self._inference.work.running,
            engine_restarts=self._engine.restarts,
            engine=self._engine.doings,
        )

    async def drain(self, grace_s: float) -> None:
        """Accept nothing more, and wait for the tasks in progress, for `grace_s` seconds at most.

        What is unfinished then stays in the journal and goes on when the server is started again.
        """
        self._draining = True
        await self._inference.work.drain(grace_s)
        await self._preprocessors.stop()
        await self._engine.stop()
        await self._inference.work.settle()
        await self._pictures.files.try_to_write()

    async def resume(self) -> None:
        """Go on with what the last run of the server left unfinished."""
        # A power cut may have left files damaged that are whole in the database: nobody shall read those.
        await self._pictures.files.try_to_write()
        await in_thread(self._model_uploads.remove_partial)
        await self._inference.safety.look_ahead()
        await self._inference.resume()

    async def sweep(self) -> None:
        """Remove pictures and tasks whose time is over, and files that nothing refers to, again and again."""
        next_orphans_s = 0.0
        while True:
            try:
                await self._pictures.remove_expired()
                if time.monotonic() >= next_orphans_s:
                    await self._pictures.remove_orphans()
                    next_orphans_s = time.monotonic() + ORPHANS_INTERVAL_S
                await in_thread(self._journal.forget_expired)
                await self._inference.sweep()
            except Exception:
                log.exception("removing what has expired failed; trying again later")
            await asyncio.sleep(SWEEP_INTERVAL_S)

    async def _perform(self, task: Task, caller: Caller, hold_s: float, on_part: OnPart | None) -> Reply:
        match task:
            case GetResponseTask():
                return await self._polling.get_response(task, caller, hold_s=hold_s)
            case GetTaskDetailsTask():
                return await self._polling.get_details(task, caller)
            case CancelTask():
                return await cancel_task(task, caller, inference=self._inference, journal=self._journal)
            case ModelSearchTask():
                return await in_thread(search_models, task, self._catalog)
            case ModelUploadTask():
                self._refuse_while_draining()
                return await self._model_uploads.upload(task, on_part)
            case ImageUploadTask():
                self._refuse_while_draining()
                return await self._uploads.upload(task, caller)
            case MediaStorageTask():
                self._refuse_while_draining()
                return await self._uploads.media(task, caller)
            case _:
                raise TaskError(
                    "unsupportedTaskType",
                    f"a task of type '{task.task_type}' belongs to the connection, not into a list of tasks",
                    parameter="taskType",
                )

    async def _infer(
        self,
        task: ImageInferenceTask | UpscaleTask | ControlNetPreprocessTask,
        raw: Mapping[str, Any],
        caller: Caller,
        on_progress: OnProgress | None,
        cancellation: Cancellation,
    ) -> Reply:
        self._refuse_while_draining()
        ending = Cancellation() if task.answered_at_once else cancellation
        run = await self._inference.accept(task, raw, caller, cancellation=ending, on_progress=on_progress)
        if task.answered_at_once:
            accepted = Acknowledgement(task_type=task.task_type, task_uuid=task.task_uuid)
            return Reply(data=(accepted.item(),))
        try:
            return await self._outcome(run, task)
        finally:
            run.answered.set()

    def _refuse_while_draining(self) -> None:
        if self._draining:
            raise TaskError("serviceUnavailable", "the server is stopping; try again later")

    async def _outcome(
        self, run: Run, task: ImageInferenceTask | UpscaleTask | ControlNetPreprocessTask
    ) -> Reply:
        timeout_s = self._settings.sync_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await run.finished.wait()
        except TimeoutError:
            raise TaskError(
                "inferenceTimeout",
                f"the task is not finished after {timeout_s:g} s; it goes on, and getResponse will have its results",
            ) from None
        if run.error is not None:
            raise run.error
        if run.interrupted:
            raise TaskError(
                "serviceUnavailable",
                "the server is stopping; the task goes on after its restart, ask getResponse then",
            )
        record = run.outcome or await in_thread(self._journal.find, run.record.owner, run.record.task_uuid)
        if record is None:
            raise TaskError("taskExpired", "the task's results have expired already")
        # The picture of the others got a UUID, by which the journal names it.
        as_sent = task if isinstance(task, ImageInferenceTask) else None
        return await outcome_reply(record, self._pictures, task=as_sent)


@asynccontextmanager
async def open_studio(settings: Settings, database: Engine) -> AsyncIterator[Studio]:
    """A studio with its engine process and its stores; everything ends with the context.

    Args:
        settings: of the server.
        database: of its data folder.
    """
    catalog = Catalog(settings, runnable=RUNNABLE_ARCHITECTURES)
    policy = FetchPolicy(
        allow_private=settings.fetch_allow_private,
        allowed_hosts=settings.fetch_allowed_hosts,
        max_bytes=settings.max_image_bytes,
        timeout_s=settings.fetch_timeout_s,
    )
    options = engine_options(settings, preload=_preloaded(settings, catalog))
    links = await in_thread(links_by, settings)
    engine = EngineProcess(options, stall_s=settings.engine_stall_s)
    async with Fetcher(policy) as fetcher:
        pictures = Pictures(
            store=ImageStore(settings.data_dir / "images"),
            database=database,
            fetcher=fetcher,
            limits=DecodeLimits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels),
            upload_ttl_s=settings.upload_ttl_s,
            share=settings.share_images,
            links=links,
        )
        journal = Journal(database)
        studio = Studio(
            settings=settings,
            catalog=catalog,
            pictures=pictures,
            journal=journal,
            engine=engine,
            preprocessors=PreprocessorProcess(threads=settings.threads),
        )
        webhooks = Webhooks(
            outbox=Outbox(database),
            fetcher=fetcher,
            pictures=pictures,
            secrets_path=settings.data_dir / WEBHOOK_SECRETS,
        )
        journal.when_due = webhooks.wake
        await engine.start()
        sending = asyncio.create_task(webhooks.run(), name="webhooks")
        sweeper = asyncio.create_task(studio.sweep(), name="sweeper")
        writing = asyncio.create_task(pictures.files.keep_writing(), name="files")
        try:
            await studio.resume()
            yield studio
        finally:
            for task in (sweeper, writing):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            await studio.drain(grace_s=0.0)
            # Last, as the end of a task may be news. What has not arrived is sent after the next start.
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending


def _preloaded(settings: Settings, catalog: Catalog) -> ModelReference | None:
    """The default model, unless it would have to be downloaded."""
    try:
        entry = catalog.resolve(settings.default_model)
    except CatalogError as failure:
        log.warning("the default model cannot be loaded ahead: %s", failure)
        return None
    if entry.files is None or entry.files.form == "hub":
        return None
    return ModelReference(
        architecture=entry.architecture,
        location=Path(entry.files.location),
        config=entry.files.config,
        name=entry.air,
    )


def _error_reply(error: TaskError, raw: object) -> Reply:
    task_type, task_uuid = task_identity(raw)
    return Reply(errors=((error.status_code, error.item(task_uuid=task_uuid, task_type=task_type)),))
