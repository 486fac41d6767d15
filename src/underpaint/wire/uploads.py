"""Tasks that store and delete pictures."""

from typing import Literal

from pydantic import Field

from underpaint.wire.fields import IdentifiedTask


class ImageUploadTask(IdentifiedTask):
    """Stores a picture for use by UUID in later tasks.

    Attributes:
        image: a data URI, bare base64, or a URL.
    """

    task_type: Literal["imageUpload"] = "imageUpload"
    image: str = Field(min_length=1, description="a data URI, bare base64, or a URL")


class MediaStorageTask(IdentifiedTask):
    """Stores or deletes a picture.

    Attributes:
        operation: "upload" or "delete".
        media: to upload, a data URI, bare base64, or a URL; to delete, the UUID.
    """

    task_type: Literal["mediaStorage"] = "mediaStorage"
    operation: Literal["upload", "delete"] = Field(description="what to do")
    media: str = Field(min_length=1, description="a data URI, bare base64, or a URL; the UUID to delete")
