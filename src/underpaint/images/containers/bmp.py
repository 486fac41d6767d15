"""BMP: the file and bitmap headers (Microsoft, "Bitmap Storage")."""

import struct

from underpaint.images.containers.header import ImageHeader
from underpaint.images.limits import DecodeLimits, check_dimensions, damaged, truncated

_CORE_HEADER_BYTES = 12
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
        if pixels_at + row_bytes * height > len(data):
            raise truncated("BMP")
    elif compression not in (_RLE8, _RLE4):
        raise damaged("BMP", "its compression is of an unknown kind")
    return ImageHeader(format="BMP", width_px=width, height_px=height, pixel_file=data)
