"""The picture of a task that answers with its UUID: kept like an upload, so that the task can be run again from it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from underpaint.blocking import in_thread
from underpaint.images import IMAGE_UUID, encode_image
from underpaint.studio.disk import DiskBudget
from underpaint.studio.pictures import Pictures
from underpaint.wire import ControlNetPreprocessTask, UpscaleTask

TasksWithInput = UpscaleTask | ControlNetPreprocessTask


class InputImages:
    """Keeps them."""

    def __init__(self, pictures: Pictures, *, disk: DiskBudget, upload_ttl_s: float) -> None:
        self._pictures = pictures
        self._disk = disk
        self._upload_ttl_s = upload_ttl_s

    @asynccontextmanager
    async def kept(
        self, task: TasksWithInput, raw: Mapping[str, Any], owner: str
    ) -> AsyncIterator[tuple[TasksWithInput, dict[str, Any]]]:
        """The task and its JSON with the picture by UUID: stored like an upload if it had none, and removed again if
        what is done within raises. Raises `TaskError`.
        """
        reference = task.input_image.strip().lower()
        is_new = not IMAGE_UUID.fullmatch(reference)
        if is_new:
            await self._disk.check(0)
            image = await self._pictures.incoming.read(task.input_image, parameter="inputImage", owner=owner)
            data = await in_thread(encode_image, image, format="PNG")
            await self._disk.check(len(data))
            reference = await self._pictures.keep(
                data,
                extension="png",
                kind="upload",
                size=image.size,
                owner=owner,
                ttl_s=self._upload_ttl_s,
            )
        kept = {name: value for name, value in raw.items() if name != "inputs"} | {"inputImage": reference}
        try:
            yield task.model_copy(update={"input_image": reference}), kept
        except BaseException:
            if is_new:
                await self._pictures.delete(reference, owner=owner)
            raise
