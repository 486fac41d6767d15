"""BMP: the file and bitmap headers (Microsoft, "Bitmap Storage")."""

import struct

from underpaint.images.containers.header import ImageHeader
from underpaint.images.limits import (
    DecodeLimits,
    ImageRejected,
    check_dimensions,
    check_nothing_follows,
    damaged,
    truncated,
)

_CORE_HEADER_BYTES, _V5_HEADER_BYTES = 12, 124
# Runs are unpacked in Python, some of them pixel by pixel.
_MAX_RUN_BYTES, _MAX_RUN_PIXELS = 2 * 2**20, 2**22
_RGB, _RLE8, _RLE4, _BITFIELDS, _ALPHA_BITFIELDS = 0, 1, 2, 3, 6


def read_header(data: bytes, limits: DecodeLimits) -> ImageHeader:
    """Read the dimensions and check that the pixels are all there. Raises `ImageRejected`."""
    if len(data) < 14 + _CORE_HEADER_BYTES:
        raise truncated("BMP")
    pixels_at, header_bytes = struct.unpack_from("<II", data, 10)
    if header_bytes == _CORE_HEADER_BYTES:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = _RGB
    elif header_bytes >= 40:
        if len(data) < 14 + 40:
            raise truncated("BMP")
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
        # A negative height means rows from top to bottom.
        height = abs(height)
    else:
        raise damaged("BMP", "its header is of an unknown kind")
    check_dimensions(width, height, limits)
    if compression in (_RGB, _BITFIELDS, _ALPHA_BITFIELDS):
        row_bytes = -(-width * bits // 32) * 4
        end = pixels_at + row_bytes * height
        if end > len(data):
            raise truncated("BMP")
        if header_bytes == _V5_HEADER_BYTES and len(data) >= 14 + _V5_HEADER_BYTES:
            # The only thing that may come behind the pixels.
            profile_at, profile_bytes = struct.unpack_from("<II", data, 14 + 112)
            end = max(end, 14 + profile_at + profile_bytes)
        check_nothing_follows(data, end, "BMP")
    elif compression not in (_RLE8, _RLE4):
        raise damaged("BMP", "its compression is of an unknown kind")
    elif len(data) > _MAX_RUN_BYTES or width * height > _MAX_RUN_PIXELS:
        raise ImageRejected(
            "dimensions",
            f"A compressed BMP file may have at most {_MAX_RUN_PIXELS} pixels and {_MAX_RUN_BYTES} bytes.",
        )
    return ImageHeader(format="BMP", width_px=width, height_px=height, pixel_file=data)
