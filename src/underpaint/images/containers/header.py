"""What a format's reader learns about a file."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Scanlines:
    """The rows of a PNG picture of 8 bits to a sample, from top to bottom, as they are filtered in the file.

    `mode` is what they are decoded to, and `stream` has them in zlib's format.
    """

    mode: Literal["L", "LA", "RGB", "RGBA"]
    stream: bytes


@dataclass(frozen=True, kw_only=True)
class ImageHeader:
    """A file whose structure was walked from end to end and found whole and within budget.

    `pixel_file` is what the decoder gets to see: the same file reduced to the parts that make the (first)
    picture, so that no decoder ever parses text, profiles, thumbnails, further frames or anything after the
    end. Of most PNG files it gets `scanlines`, and `pixel_file` is empty. `color_key` is the PNG tRNS colour of
    a grey (1 value) or RGB (3 values) picture, scaled to 0-255. `exif` begins with its TIFF header.
    """

    format: str
    width_px: int
    height_px: int
    pixel_file: bytes
    scanlines: Scanlines | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None
    color_key: tuple[int, ...] | None = None
