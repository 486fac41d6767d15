"""WebP: the RIFF walk (RFC 9649 section 2; frame headers: RFC 6386 section 9.1, RFC 9649 section 3.4)."""

from underpaint.images.containers.header import ImageHeader
from underpaint.images.limits import (
    DecodeLimits,
    ImageRejected,
    check_dimensions,
    check_nothing_follows,
    check_profile_size,
    check_unproven,
    damaged,
    truncated,
)

_MAX_CHUNKS = 100_000
# What decoding takes for each pixel before it ends: the canvas, and beside it the picture when it is without loss, or
# the plane of its transparency.
_CANVAS, _PLANES = 4, 8


def read_header(data: bytes, limits: DecodeLimits) -> ImageHeader:
    """Find the canvas, the frames, Exif and ICC profile. Raises `ImageRejected`."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise truncated("WEBP")
    check_nothing_follows(data, end, "WEBP")
    size: tuple[int, int] | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None
    has_picture = False
    bytes_per_pixel = _CANVAS
    position, frames = 12, 0
    for _ in range(_MAX_CHUNKS):
        if position + 8 > end:
            break
        kind = data[position : position + 4]
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        start = position + 8
        if start + length > end:
            raise truncated("WEBP")
        if size is None:
            size = _canvas(kind, data[start : start + 10])
            check_dimensions(*size, limits)
        if kind in (b"VP8 ", b"VP8L", b"ANMF"):
            has_picture = True
        if kind == b"ANMF":
            frames += 1
            if frames > limits.max_frames:
                raise ImageRejected(
                    "frames", f"The animation has more than the {limits.max_frames} frames accepted."
                )
            # The pictures of an animation lie within its frames, and may be of any kind.
            bytes_per_pixel = _PLANES
        elif kind in (b"VP8L", b"ALPH"):
            bytes_per_pixel = _PLANES
        elif kind == b"ICCP":
            check_profile_size(length, limits)
            icc_profile = data[start : start + length]
        elif kind == b"EXIF":
            exif = data[start : start + length].removeprefix(b"Exif\0\0")
        # Chunks begin at even offsets.
        position = start + length + (length & 1)
    else:
        raise ImageRejected("frames", f"The WEBP file has more than {_MAX_CHUNKS} chunks.")
    if size is None or not has_picture:
        raise truncated("WEBP")
    check_unproven("WEBP", len(data) + bytes_per_pixel * size[0] * size[1], limits)
    return ImageHeader(
        format="WEBP",
        width_px=size[0],
        height_px=size[1],
        pixel_file=data,
        icc_profile=icc_profile,
        exif=exif,
    )


def _canvas(kind: bytes, payload: bytes) -> tuple[int, int]:
    """Width and height from whichever chunk comes first."""
    if len(payload) < 10 and not (kind == b"VP8L" and len(payload) >= 5):
        raise damaged("WEBP", "its header is too short")
    if kind == b"VP8X":
        return int.from_bytes(payload[4:7], "little") + 1, int.from_bytes(payload[7:10], "little") + 1
    if kind == b"VP8 " and payload[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(payload[6:8], "little") & 0x3FFF, int.from_bytes(
            payload[8:10], "little"
        ) & 0x3FFF
    if kind == b"VP8L" and payload[0] == 0x2F:
        bits = int.from_bytes(payload[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise damaged("WEBP", "it does not begin with a picture header")
