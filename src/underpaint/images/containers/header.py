"""What a format's reader learns about a file."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ImageHeader:
    """A file whose structure was walked from end to end and found whole and within budget.

    `pixel_file` is what the decoder gets to see: the same file reduced to the parts that make the (first)
    picture, so that no decoder ever parses text, profiles, thumbnails, further frames or anything after the
    end. `color_key` is the PNG tRNS colour of a grey (1 value) or RGB (3 values) picture, scaled to 0-255.
    `exif` begins with its TIFF header.
    """

    format: str
    width_px: int
    height_px: int
    pixel_file: bytes
    icc_profile: bytes | None = None
    exif: bytes | None = None
    color_key: tuple[int, ...] | None = None
