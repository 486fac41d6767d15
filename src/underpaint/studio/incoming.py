"""Pictures on their way in: by UUID, data URI, base64 or URL, as tasks refer to them."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

from PIL import Image

from underpaint.blocking import in_thread
from underpaint.images import (
    SEED_FORMATS,
    DecodeLimits,
    Fetcher,
    FetchFailed,
    FetchRefused,
    ImageFormat,
    ImageRejected,
    InlineImage,
    InvalidImageReference,
    RemoteImage,
    StoredImage,
    decode_image,
    parse_image_reference,
)
from underpaint.wire import TaskError
from underpaint.wire.errors import parameter_code

Made = TypeVar("Made")

SHORT_REFERENCE = 8192
"""Characters up to which a reference is read at once: UUIDs and URLs are shorter."""
DECODES_AT_ONCE = 4
"""Bounds the memory of decoding: each may take the whole pixel budget."""


@dataclass(frozen=True, kw_only=True)
class PictureSource:
    """A picture that a task refers to, of which nothing has to be fetched any more."""

    reference: str
    parameter: str
    owner: str
    formats: Collection[ImageFormat]
    fetched: bytes | None
    """Its file, if it came by URL."""


class IncomingPictures:
    """Reads the pictures that tasks bring or refer to.

    Args:
        fetcher: gets those that are given by URL.
        limits: what a picture may take.
        stored: the file of a picture that is stored, by its UUID and who asks; None where there is none for them.
            Blocks.
    """

    def __init__(
        self, *, fetcher: Fetcher, limits: DecodeLimits, stored: Callable[[str, str], bytes | None]
    ) -> None:
        self._fetcher = fetcher
        self._limits = limits
        self._stored = stored
        self._decodes = asyncio.Semaphore(DECODES_AT_ONCE)

    async def read(
        self,
        reference: str,
        *,
        parameter: str,
        owner: str,
        formats: Collection[ImageFormat] = SEED_FORMATS,
    ) -> Image.Image:
        """The picture that a task refers to by UUID, data URI, base64 or URL: upright, RGB, sRGB.

        Args:
            reference: as the task has it.
            parameter: where in the task it stands, for errors.
            owner: who asks; pictures of others do not exist for it, unless they are shared.
            formats: file formats that are taken.

        Raises:
            TaskError: there is no such picture, it cannot be fetched, or it is not acceptable.
        """
        image, _ = await self.read_as(
            reference, lambda image: image, parameter=parameter, owner=owner, formats=formats
        )
        return image

    async def read_as(
        self,
        reference: str,
        make: Callable[[Image.Image], Made],
        *,
        parameter: str,
        owner: str,
        formats: Collection[ImageFormat] = SEED_FORMATS,
    ) -> tuple[Made, bytes]:
        """What `make` makes of a picture that `read` reads, in the same thread, and the file as it came."""
        source = await self.locate(reference, parameter=parameter, owner=owner, formats=formats)

        def read_and_make() -> tuple[Made, bytes]:
            image, data = self.read_blocking(source)
            return make(image), data

        return await self.in_decoding_thread(read_and_make)

    async def locate(
        self,
        reference: str,
        *,
        parameter: str,
        owner: str,
        formats: Collection[ImageFormat] = SEED_FORMATS,
    ) -> PictureSource:
        """The first half of `read`, with the same arguments: what has to be fetched is. Raises `TaskError`."""
        fetched = None
        try:
            # What is longer is base64, which is read in the thread that decodes it.
            if len(reference) <= SHORT_REFERENCE:
                parsed = parse_image_reference(reference)
                if isinstance(parsed, RemoteImage):
                    fetched = await self._fetcher.fetch(parsed.url)
        except (InvalidImageReference, FetchRefused) as refusal:
            raise _unacceptable(parameter, refusal) from None
        except FetchFailed as failure:
            raise TaskError("downloadFailed", f"'{parameter}': {failure}", parameter=parameter) from None
        return PictureSource(
            reference=reference, parameter=parameter, owner=owner, formats=formats, fetched=fetched
        )

    def read_blocking(self, source: PictureSource) -> tuple[Image.Image, bytes]:
        """The other half, for `in_decoding_thread`: the picture, and its file as it came. Raises `TaskError`."""
        try:
            data = self._bytes_of(source) if source.fetched is None else source.fetched
            return decode_image(data, limits=self._limits, formats=source.formats), data
        except (InvalidImageReference, ImageRejected) as refusal:
            raise _unacceptable(source.parameter, refusal) from None

    async def in_decoding_thread(self, call: Callable[[], Made]) -> Made:
        """What a call that decodes pictures gives, made in a thread, when few enough are being decoded."""
        async with self._decodes:
            return await in_thread(call)

    def _bytes_of(self, source: PictureSource) -> bytes:
        """The file of a picture that was not fetched. Blocks."""
        parameter = source.parameter
        code = parameter_code("invalid", parameter)
        match parse_image_reference(source.reference):
            case InlineImage(data=data):
                return data
            case RemoteImage():
                raise TaskError(
                    code,
                    f"'{parameter}': a URL may have {SHORT_REFERENCE} characters at most.",
                    parameter=parameter,
                )
            case StoredImage(uuid=image_uuid):
                file = self._stored(image_uuid, source.owner)
                if file is None:
                    raise TaskError(
                        code,
                        f"'{parameter}': there is no image {image_uuid}; it may have expired or been deleted.",
                        parameter=parameter,
                    )
                return file


def _unacceptable(parameter: str, refusal: Exception) -> TaskError:
    return TaskError(
        parameter_code("invalid", parameter),
        f"'{parameter}': {refusal}",
        parameter=parameter,
        type="string",
    )
