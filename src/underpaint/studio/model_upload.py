"""modelUpload: a model from a URL, the hub or a folder of this machine into the library."""

import asyncio
import dataclasses
import errno
import logging
import os
import shutil
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal

from underpaint.blocking import in_thread
from underpaint.catalog import Catalog, ModelEntry, ModelFiles, ModelRefused
from underpaint.catalog.describe import NewModel, describe
from underpaint.catalog.download import DownloadFailed, local_files
from underpaint.images import Fetcher, FetchFailed, FetchPolicy, FetchRefused
from underpaint.settings import Settings
from underpaint.studio.caller import Item, OnPart, Reply
from underpaint.studio.disk import is_full
from underpaint.studio.downloads import Downloads
from underpaint.studio.model_sources import Repository, source_of
from underpaint.wire import ModelUploadStatus, ModelUploadTask, TaskError

log = logging.getLogger(__name__)

PARTIAL_SUFFIX = ".partial"
Status = Literal["validated", "downloaded", "stored", "ready"]
Say = Callable[[Status, str], Awaitable[None]]
"""Tells of a stage that is behind the model, also in words."""


class ModelUploads:
    """Puts models into the library for callers.

    A file is fetched under a name of our own, looked at only when it is whole, and listed last: what is interrupted at
    any moment is not installed.
    """

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self._catalog = catalog
        self._settings = settings
        self._folder = settings.data_dir / "models"
        hosts = settings.model_upload_hosts
        self._policy = FetchPolicy(
            allow_private=settings.fetch_allow_private,
            allowed_hosts=() if "*" in hosts else hosts,
            max_bytes=settings.max_model_bytes,
            timeout_s=settings.model_upload_timeout_s,
        )
        self._downloads = Downloads()
        self._on_the_way: set[str] = set()

    def remove_partial(self) -> None:
        """Remove what uploads left behind that the end of an earlier process interrupted."""
        for path in self._folder.glob(f"*{PARTIAL_SUFFIX}"):
            path.unlink(missing_ok=True)

    async def upload(self, task: ModelUploadTask, on_part: OnPart | None = None) -> Reply:
        """Fetch, check and list a model, and say each stage when it is behind it.

        Args:
            task: what it is, and where.
            on_part: is given each stage but the last as it comes. Without it all of them are in the reply.

        Raises:
            TaskError: this server takes no models, has this one already, may not or could not fetch the file, has no
                room for it, or the file is not a safetensors file of what the task says.
        """
        settings = self._settings
        if not settings.model_upload_hosts and not settings.model_upload_folders:
            raise TaskError(
                "insufficientPermissions",
                "This server takes no models: its settings model_upload_hosts and model_upload_folders allow none.",
                parameter="taskType",
            )
        source = source_of(task.download_url, settings)
        if isinstance(source, str) and not settings.model_upload_hosts:
            raise TaskError(
                "invalidDownloadURL",
                "No host is allowed by this server's setting model_upload_hosts.",
                parameter="downloadURL",
                type="string",
            )
        if task.air in self._on_the_way or await in_thread(self._is_taken, task.air):
            raise TaskError(
                "modelAlreadyExists", f"{task.air} is in the library or on its way there.", parameter="air"
            )
        self._on_the_way.add(task.air)
        said: list[Item] = []

        async def say(status: Status, message: str) -> None:
            item = ModelUploadStatus(
                task_uuid=task.task_uuid, air=task.air, status=status, message=message
            ).item()
            if on_part is None or status == "ready":
                said.append(item)
            else:
                await on_part([item])

        try:
            # There is no "optimized": files stay as they are.
            await say("validated", "The task is valid.")
            await self._bring(task, source, say)
            await say("stored", "The files are what the task says, and are stored.")
            await say("ready", "The model can be named in tasks.")
        finally:
            self._on_the_way.discard(task.air)
        return Reply(data=tuple(said))

    def _is_taken(self, air: str) -> bool:
        return any(entry.air == air for entry in self._catalog.list())

    async def _bring(self, task: ModelUploadTask, source: str | Repository | Path, say: Say) -> None:
        """Have the files on this machine, and the model on the list."""
        match source:
            case str():
                await self._from_url(task, source, say)
            case Repository():
                await self._from_hub(task, source, say)
            case Path():
                await say("downloaded", "The files are on this machine.")
                await in_thread(self._list, task, source, lambda entry: entry)

    async def _from_url(self, task: ModelUploadTask, url: str, say: Say) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{uuid.uuid4()}.safetensors"
        partly = path.with_suffix(PARTIAL_SUFFIX)
        try:
            size = await self._fetch(url, partly)
            await say("downloaded", f"{size} bytes were fetched.")
            os.replace(partly, path)
            try:
                await in_thread(self._list, task, path, lambda entry: entry)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
        finally:
            partly.unlink(missing_ok=True)
        log.info("model %s: %d bytes are in the library", task.air, size)

    async def _from_hub(self, task: ModelUploadTask, repository: Repository, say: Say) -> None:
        """Into the hub's own cache, where what is there already is not fetched again."""
        files = ModelFiles(form="hub", location=repository.name, revision=repository.revision)
        unseen = ModelEntry(
            air=task.air,
            name=task.name,
            version=task.version,
            architecture=task.architecture,
            category=task.category,
            files=files,
        )
        limit_s, limit_bytes = self._settings.model_upload_timeout_s, self._settings.max_model_bytes
        try:
            async with asyncio.timeout(limit_s):
                look_up = partial(local_files, unseen, max_file_bytes=limit_bytes)
                path = await self._downloads.get(unseen, look_up)
        except TimeoutError:
            raise TaskError(
                "downloadFailed",
                f"{repository.name} was not here within {limit_s:g} s; what has come is kept for the next time.",
                parameter="downloadURL",
            ) from None
        except DownloadFailed as failure:
            raise TaskError("downloadFailed", str(failure), parameter="downloadURL") from failure
        await say("downloaded", f"{repository.name} was fetched from the hub.")

        def listed(entry: ModelEntry) -> ModelEntry:
            return dataclasses.replace(entry, files=files, hub_id=repository.name)

        await in_thread(self._list, task, path, listed)

    async def _fetch(self, url: str, partly: Path) -> int:
        try:
            async with Fetcher(self._policy) as fetcher:
                with partly.open("xb") as file:
                    size = await fetcher.download(url, file, room=self._require_room)
                    await in_thread(_flush_to_disk, file)
        except FetchRefused as refusal:
            raise TaskError(
                "invalidDownloadURL", str(refusal), parameter="downloadURL", type="string"
            ) from refusal
        except FetchFailed as failure:
            raise TaskError("downloadFailed", str(failure), parameter="downloadURL") from failure
        except OSError as failure:
            log.exception("a model could not be stored")
            if is_full(failure):
                raise _no_room("the disk is full") from failure
            raise TaskError(
                "downloadFailed",
                f"The server could not store the file: {failure.strerror or 'its disk failed'}.",
                parameter="downloadURL",
            ) from failure
        return size

    def _require_room(self, wanted_bytes: int) -> None:
        """Refuse a file of which so many bytes are still to come, if the disk would not have enough free after them."""
        free_bytes = shutil.disk_usage(self._folder).free
        reserve_bytes = self._settings.disk_reserve_bytes
        if free_bytes - wanted_bytes < reserve_bytes:
            raise _no_room(
                f"{wanted_bytes} bytes are still to come, and the disk has {free_bytes} left, of which "
                f"{reserve_bytes} stay free"
            )

    def _list(self, task: ModelUploadTask, path: Path, listed: Callable[[ModelEntry], ModelEntry]) -> None:
        """Check files against what the task says, and put them on the list, with what `listed` makes of the entry."""
        try:
            self._catalog.installed.add(listed(_entry(task, path)))
        except ModelRefused as refusal:
            # Its path on this machine is nothing for clients.
            reason = str(refusal).replace(str(path), "the file")
            raise TaskError(
                "invalidDownloadURL", f"The model is refused: {reason}.", parameter="downloadURL"
            ) from None


def _flush_to_disk(file: BinaryIO) -> None:
    file.flush()
    try:
        os.fsync(file.fileno())
    except OSError as failure:
        # Some network file systems have no fsync; others say only here that they are full.
        if failure.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise


def _no_room(reason: str) -> TaskError:
    return TaskError("storageQuotaExceeded", f"There is no room for the model: {reason}.")


def _entry(task: ModelUploadTask, path: Path) -> ModelEntry:
    defaults: dict[str, Any] = {
        "steps": task.default_steps,
        "guidance_scale": task.default_cfg,
        "scheduler": task.default_scheduler,
        "strength": task.default_strength,
    }
    described = describe(
        NewModel(
            air=task.air,
            source=str(path),
            name=task.name,
            version=task.version,
            architecture=task.architecture,
            category=task.category,
            type=task.type if task.category == "checkpoint" else None,
            defaults={name: value for name, value in defaults.items() if value is not None},
            tags=task.tags,
            comment=task.comment or task.short_description or "",
            private=task.private,
            conditioning=task.conditioning,
        )
    )
    return dataclasses.replace(
        described,
        hero_image_url=task.hero_image_url or "",
        # An embedding is one word in whichever prompt.
        trigger_words=task.positive_trigger_words
        or (task.negative_trigger_words if task.category == "embeddings" else None)
        or "",
        default_weight=task.default_weight,
    )
