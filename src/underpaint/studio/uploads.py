"""imageUpload and mediaStorage: pictures that later tasks refer to by UUID."""

from PIL import Image

from underpaint.blocking import in_thread
from underpaint.images import UPLOAD_FORMATS, encode_image
from underpaint.studio.caller import Caller, Reply
from underpaint.studio.disk import DiskBudget
from underpaint.studio.pictures import Pictures
from underpaint.wire import (
    ImageUploadTask,
    MediaDeleteResult,
    MediaStorageTask,
    MediaUploadResult,
    TaskError,
    UploadResult,
)

LONGEST_SIDE_PX = 2048
"""Larger uploads are stored at this size, as the API has it."""


class Uploads:
    """Stores and deletes pictures for callers."""

    def __init__(self, pictures: Pictures, *, disk: DiskBudget, upload_ttl_s: float) -> None:
        self._pictures = pictures
        self._disk = disk
        self._upload_ttl_s = upload_ttl_s

    async def upload(self, task: ImageUploadTask, caller: Caller) -> Reply:
        """Store a picture. Raises `TaskError`."""
        image_uuid, url = await self._store(task.image, "image", caller)
        result = UploadResult(task_uuid=task.task_uuid, image_uuid=image_uuid, image_url=url)
        return Reply(data=(result.item(),))

    async def media(self, task: MediaStorageTask, caller: Caller) -> Reply:
        """Store or delete a picture. Raises `TaskError`."""
        if task.operation == "upload":
            media_uuid, url = await self._store(task.media, "media", caller)
            stored = MediaUploadResult(task_uuid=task.task_uuid, media_uuid=media_uuid, media_url=url)
            return Reply(data=(stored.item(),))
        media_uuid = task.media.strip().lower()
        if not await self._pictures.delete(media_uuid, owner=caller.owner):
            raise TaskError(
                "mediaNotFound", f"there is no image {task.media[:64]} of yours to delete", parameter="media"
            )
        return Reply(data=(MediaDeleteResult(task_uuid=task.task_uuid, media_uuid=media_uuid).item(),))

    async def _store(self, reference: str, parameter: str, caller: Caller) -> tuple[str, str]:
        await self._disk.check(0)
        image = await self._pictures.incoming.read(
            reference, parameter=parameter, owner=caller.owner, formats=UPLOAD_FORMATS
        )
        data, size = await in_thread(_encode, image)
        await self._disk.check(len(data))
        image_uuid = await self._pictures.keep(
            data, extension="png", kind="upload", size=size, owner=caller.owner, ttl_s=self._upload_ttl_s
        )
        return image_uuid, self._pictures.links.url(caller.base_url, image_uuid, "png")


def _encode(image: Image.Image) -> tuple[bytes, tuple[int, int]]:
    # Always encoded anew, and without loss: what is served under our address was written by our own encoder.
    image.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX), Image.Resampling.LANCZOS)
    return encode_image(image, format="PNG"), image.size
