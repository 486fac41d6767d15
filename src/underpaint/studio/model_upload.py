"""modelUpload: a model's file from a URL into the library."""

import asyncio
import contextlib
import dataclasses
import logging
import os
import uuid
from pathlib import Path
from typing import Any

from underpaint.catalog import Catalog, ModelEntry, ModelRefused
from underpaint.catalog.describe import NewModel, describe
from underpaint.images import Fetcher, FetchFailed, FetchPolicy, FetchRefused
from underpaint.settings import Settings
from underpaint.studio.caller import Reply
from underpaint.wire import ModelUploadStatus, ModelUploadTask, TaskError

log = logging.getLogger(__name__)

PARTIAL_SUFFIX = ".partial"


class ModelUploads:
    """Puts models into the library for callers.

    A file is fetched under a name of our own, looked at only when it is whole, and listed last: what is interrupted at
    any moment is not installed.
    """

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self._catalog = catalog
        self._folder = settings.data_dir / "models"
        hosts = settings.model_upload_hosts
        self._enabled = bool(hosts)
        self._policy = FetchPolicy(
            allow_private=settings.fetch_allow_private,
            allowed_hosts=() if "*" in hosts else hosts,
            max_bytes=settings.max_model_bytes,
            timeout_s=settings.model_upload_timeout_s,
        )
        self._on_the_way: set[str] = set()

    def remove_partial(self) -> None:
        """Remove what uploads left behind that the end of an earlier process interrupted."""
        for path in self._folder.glob(f"*{PARTIAL_SUFFIX}"):
            path.unlink(missing_ok=True)

    async def upload(self, task: ModelUploadTask) -> Reply:
        """Fetch, check and list a model, and answer with the stages that it went through.

        Raises:
            TaskError: this server takes no models, has this one already, may not or could not fetch the file, or the
                file is not a safetensors file of what the task says.
        """
        if not self._enabled:
            raise TaskError(
                "insufficientPermissions",
                "This server takes no models: no host is allowed by its setting model_upload_hosts.",
                parameter="taskType",
            )
        if task.air in self._on_the_way or await asyncio.to_thread(self._is_taken, task.air):
            raise TaskError(
                "modelAlreadyExists", f"{task.air} is in the library or on its way there.", parameter="air"
            )
        self._on_the_way.add(task.air)
        try:
            size = await self._fetch_and_list(task)
        finally:
            self._on_the_way.discard(task.air)
        stages: tuple[tuple[Any, str], ...] = (
            ("validated", "The task is valid."),
            ("downloaded", f"{size} bytes were fetched."),
            ("stored", "The file is what the task says, and is stored."),
            ("ready", "The model can be named in tasks."),
        )
        return Reply(
            data=tuple(
                ModelUploadStatus(
                    task_uuid=task.task_uuid, air=task.air, status=status, message=message
                ).item()
                for status, message in stages
            )
        )

    def _is_taken(self, air: str) -> bool:
        return any(entry.air == air for entry in self._catalog.list())

    async def _fetch_and_list(self, task: ModelUploadTask) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{uuid.uuid4()}.safetensors"
        partial = path.with_suffix(PARTIAL_SUFFIX)
        try:
            size = await self._fetch(task.download_url, partial)
            os.replace(partial, path)
            try:
                await asyncio.to_thread(self._list, task, path)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
        finally:
            partial.unlink(missing_ok=True)
        log.info("model %s: %d bytes are in the library", task.air, size)
        return size

    async def _fetch(self, url: str, partial: Path) -> int:
        try:
            async with Fetcher(self._policy) as fetcher:
                with partial.open("xb") as file:
                    size = await fetcher.download(url, file)
                    await asyncio.to_thread(_flush_to_disk, file.fileno())
        except FetchRefused as refusal:
            raise TaskError(
                "invalidDownloadURL", str(refusal), parameter="downloadURL", type="string"
            ) from refusal
        except FetchFailed as failure:
            raise TaskError("downloadFailed", str(failure), parameter="downloadURL") from failure
        except OSError as failure:
            log.exception("a model could not be stored")
            raise TaskError(
                "downloadFailed",
                f"The server could not store the file: {failure.strerror or 'its disk failed'}.",
                parameter="downloadURL",
            ) from failure
        return size

    def _list(self, task: ModelUploadTask, path: Path) -> None:
        try:
            self._catalog.installed.add(_entry(task, path))
        except ModelRefused as refusal:
            # Its path on this machine is nothing for clients.
            reason = str(refusal).replace(str(path), "the file")
            raise TaskError(
                "invalidDownloadURL", f"The model is refused: {reason}.", parameter="downloadURL"
            ) from None


def _flush_to_disk(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # some network file systems have no fsync
        os.fsync(descriptor)


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
