"""GIF: the block walk as far as the end of the file (GIF89a specification, sections 17 to 27)."""

from underpaint.images.containers.header import ImageHeader
from underpaint.images.limits import (
    DecodeLimits,
    ImageRejected,
    check_dimensions,
    check_nothing_follows,
    check_unproven,
    damaged,
    truncated,
)

_EXTENSION, _PICTURE, _TRAILER = 0x21, 0x2C, 0x3B
# 50 megapixels need about 200,000 full sub-blocks; a file of one-byte sub-blocks would make millions.
_MAX_SUB_BLOCKS = 262_144


def read_header(data: bytes, limits: DecodeLimits) -> ImageHeader:
    """Find the first picture, cut the file there, and see that the rest is GIF as well. Raises `ImageRejected`.

    A file that ends after its first picture, without a trailer, is taken: many a writer forgets it.
    """
    if len(data) < 13:
        raise truncated("GIF")
    width, height = int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    check_dimensions(width, height, limits)
    first: ImageHeader | None = None
    position = 13 + _color_table_bytes(data[10])
    sub_blocks = frames = 0
    while position < len(data):
        block = data[position]
        if block == _TRAILER:
            if first is None:
                raise damaged("GIF", "it ends before any picture")
            check_nothing_follows(data, position + 1, "GIF")
            return first
        if block == _EXTENSION:
            position += 2
        elif block == _PICTURE:
            frames += 1
            if frames > limits.max_frames:
                raise ImageRejected(
                    "frames", f"The animation has more than the {limits.max_frames} frames accepted."
                )
            if position + 10 > len(data):
                break
            if first is None:
                left, top, picture_width, picture_height = (
                    int.from_bytes(data[position + at : position + at + 2], "little") for at in (1, 3, 5, 7)
                )
                # A picture that reaches over the screen makes the decoder's canvas larger.
                width, height = max(width, left + picture_width), max(height, top + picture_height)
                check_dimensions(width, height, limits)
            position += 10 + _color_table_bytes(data[position + 9]) + 1
        else:
            raise damaged("GIF", "a block is of an unknown kind")
        while position < len(data):
            length = data[position]
            position += 1 + length
            if length == 0:
                break
            sub_blocks += 1
            if sub_blocks > _MAX_SUB_BLOCKS:
                raise ImageRejected("frames", f"The GIF file has more than {_MAX_SUB_BLOCKS} blocks.")
        else:
            break
        if first is None and block == _PICTURE:
            # The file, the part of it that is decoded, and a byte for each pixel.
            check_unproven("GIF", len(data) + position + width * height, limits)
            first = ImageHeader(
                format="GIF",
                width_px=width,
                height_px=height,
                pixel_file=data[:position] + bytes([_TRAILER]),
            )
    if first is None:
        raise truncated("GIF")
    return first


def _color_table_bytes(flags: int) -> int:
    return 3 * (2 << (flags & 7)) if flags & 0x80 else 0
