"""One reader for each file format: what the bytes declare, learned without decoding any pixel."""

from collections.abc import Callable, Collection
from typing import Literal

from underpaint.images.containers import bmp, gif, jpeg, png, webp
from underpaint.images.containers.header import ImageHeader
from underpaint.images.limits import DecodeLimits, ImageRejected, check_dimensions

ImageFormat = Literal["PNG", "JPEG", "WEBP", "BMP", "GIF"]

_READERS: dict[ImageFormat, Callable[[bytes, DecodeLimits], ImageHeader]] = {
    "PNG": png.read_header,
    "JPEG": jpeg.read_header,
    "WEBP": webp.read_header,
    "BMP": bmp.read_header,
    "GIF": gif.read_header,
}


def sniff_format(data: bytes) -> ImageFormat | None:
    """The format the first bytes belong to; a file's name and declared media type are never believed."""
    if data.startswith(png.SIGNATURE):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith(b"BM"):
        return "BMP"
    return None


def read_header(data: bytes, *, limits: DecodeLimits, formats: Collection[ImageFormat]) -> ImageHeader:
    """Check a file's structure against every budget, in memory that does not depend on what it declares.

    Raises `ImageRejected`.
    """
    if not data:
        raise ImageRejected("empty", "The image is empty: it has no bytes.")
    if len(data) > limits.max_bytes:
        raise ImageRejected(
            "bytes", f"The image file has {len(data)} bytes; at most {limits.max_bytes} are accepted."
        )
    found = sniff_format(data)
    accepted = ", ".join(formats)
    if found is None:
        raise ImageRejected("format", f"The data is not an image in an accepted format ({accepted}).")
    if found not in formats:
        raise ImageRejected(
            "format", f"The image is a {found} file, which is not accepted here ({accepted})."
        )
    header = _READERS[found](data, limits)
    check_dimensions(header.width_px, header.height_px, limits)
    return header
