"""JPEG: the marker walk (ITU-T T.81 annex B; Exif 2.32 section 4.7; ICC.1:2010 annex B.4)."""

import re

from underpaint.images.containers.header import ImageHeader
from underpaint.images.containers.jpeg_scans import ScanRules
from underpaint.images.limits import (
    DecodeLimits,
    ImageRejected,
    check_dimensions,
    check_profile_size,
    damaged,
    truncated,
)

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_DHT, _DQT, _RESTART_INTERVAL, _DNL = 0xC4, 0xDB, 0xDD, 0xDC
_APP0, _APP1, _APP2, _APP14, _APP15, _COMMENT = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE
_HARMLESS = frozenset({_RESTART_INTERVAL, _DNL, _COMMENT})
# In entropy-coded data 0xFF is followed by 0x00 or a restart marker; any other follower is the next marker. A
# fill byte 0xFF is passed over one at a time, which keeps the search linear.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_MAX_SEGMENTS = 10_000
# Each scan of a progressive file costs a pass over the whole picture; real encoders write about ten.
_MAX_SCANS = 64
_MAX_SCANNED_PIXELS = 1_000_000_000
# Phones append videos and previews after the picture, which is harmless: the decoder never sees them. What
# turns a photo into something else for another reader is refused.
_FOREIGN_SIGNATURES = (
    *(b"PK\x03\x04", b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b\x08"),
    *(b"\x7felf", b"mz", b"#!", b"%pdf-", b"<?php", b"<html", b"<!doctype", b"<script", b"<svg"),
)


def read_header(data: bytes, limits: DecodeLimits) -> ImageHeader:
    """Find the frame header, Exif, ICC profile and the end of the picture. Raises `ImageRejected`."""
    size: tuple[int, int] | None = None
    exif: bytes | None = None
    profile_parts: dict[int, bytes] = {}
    profile_bytes = 0
    kept: list[bytes | memoryview] = [b"\xff\xd8"]
    view = memoryview(data)
    rules = ScanRules()
    position, scans = 2, 0
    for _ in range(_MAX_SEGMENTS):
        found = _NEXT_MARKER.search(data, position)
        if found is None:
            raise truncated("JPEG")
        marker, start = data[found.start() + 1], found.end()
        if scans:
            # Between the first scan and the end everything is kept: the entropy-coded data, and the tables
            # between.
            kept.append(view[position : found.start()])
        if marker == _EOI:
            if not scans or size is None:
                raise damaged("JPEG", "it ends before any picture")
            _check_what_follows(data, start)
            kept.append(b"\xff\xd9")
            return ImageHeader(
                format="JPEG",
                width_px=size[0],
                height_px=size[1],
                pixel_file=b"".join(kept),
                icc_profile=_join_profile(profile_parts),
                exif=exif,
            )
        if marker == _SOI:
            raise damaged("JPEG", "a second picture begins inside the first")
        length = int.from_bytes(data[start : start + 2])
        end = start + length
        if end > len(data):
            raise truncated("JPEG")
        if length < 2:
            raise damaged("JPEG", "a segment has no length")
        segment = data[start + 2 : end]
        if marker in _START_OF_FRAME:
            if size is not None:
                raise damaged("JPEG", "it has two frame headers")
            if len(segment) < 6:
                raise damaged("JPEG", "its frame header is too short")
            size = int.from_bytes(segment[3:5]), int.from_bytes(segment[1:3])
            check_dimensions(*size, limits)
            rules.frame(marker, segment)
        elif marker == _SOS:
            rules.scan(segment)
            scans += 1
            if scans > _MAX_SCANS or (size and scans * size[0] * size[1] > _MAX_SCANNED_PIXELS):
                raise ImageRejected("frames", f"The JPEG file has {scans} scans or more, which are too many.")
        elif marker == _DHT:
            rules.huffman_tables(segment)
        elif marker == _DQT:
            rules.quantization_tables(segment)
        elif marker == _APP1 and exif is None and segment.startswith(b"Exif\0\0"):
            exif = segment[6:]
        elif marker == _APP2 and segment.startswith(b"ICC_PROFILE\0") and len(segment) > 14:
            profile_bytes += len(segment) - 14
            check_profile_size(profile_bytes, limits)
            profile_parts[segment[12]] = segment[14:]
        elif marker not in _HARMLESS and not _APP0 <= marker <= _APP15:
            raise damaged("JPEG", "it has a marker that no reader knows")
        # JFIF and Adobe segments say how the samples are to be read; the other application segments are
        # metadata.
        if not (_APP1 <= marker <= _APP15 and marker != _APP14) and marker != _COMMENT:
            kept.append(view[found.start() : end])
        position = end
    raise ImageRejected("frames", f"The JPEG file has more than {_MAX_SEGMENTS} segments.")


def _join_profile(parts: dict[int, bytes]) -> bytes | None:
    """Put the numbered pieces together; a profile that lacks one is no profile."""
    if not parts or sorted(parts) != list(range(1, len(parts) + 1)):
        return None
    return b"".join(parts[number] for number in sorted(parts))


def _check_what_follows(data: bytes, end: int) -> None:
    following = data[end : end + 64].lstrip(b"\0\r\n\t ")
    if following.startswith(_FOREIGN_SIGNATURES) or following.lower().startswith(_FOREIGN_SIGNATURES):
        raise ImageRejected("trailing", "The JPEG file is followed by a file of another kind.")
