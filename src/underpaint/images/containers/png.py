"""PNG: the chunk walk (W3C PNG specification, third edition, sections 5, 7 and 11)."""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

# Inflates photos in a third of zlib's time.
from isal import isal_zlib as zlib

from underpaint.images.containers.header import ImageHeader, Scanlines
from underpaint.images.limits import (
    DecodeLimits,
    ImageRejected,
    check_dimensions,
    check_nothing_follows,
    check_profile_size,
    damaged,
    truncated,
)

# Its stub declares an exception in place of a class of them.
_INFLATE_ERROR = cast("type[Exception]", zlib.error)
SIGNATURE = b"\x89PNG\r\n\x1a\n"

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_BIT_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_GREY, _RGB, _PALETTE = 0, 2, 3
_MODES: Mapping[int, Literal["L", "LA", "RGB", "RGBA"]] = {0: "L", 2: "RGB", 4: "LA", 6: "RGBA"}
"""By color types, of samples of 8 bits."""
_LAST_FILTER = 4
# The seven passes of Adam7: first column, first row, column step, row step.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_INFLATE_STEP_BYTES = 256 * 1024
_STORED_BYTES = 0xFFFF
"""Most bytes of a block that is not compressed."""
_KEPT_BYTES = 4 * 2**20
"""Scanlines up to this size are kept as they were inflated, about a megapixel of them."""
# A 32 MiB file of ordinary 8 KiB IDAT chunks has 4,096; empty chunks would make millions.
_MAX_CHUNKS = 100_000


def chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, memoryview]]:
    """Yield (type, payload, whole chunk with length and CRC) up to and including IEND, copying nothing.

    Raises `ImageRejected` for a file cut short, too many chunks, or a bad CRC in a chunk that makes pixels.
    """
    view = memoryview(data)
    position = len(SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        if position + 12 > len(data):
            raise truncated("PNG")
        length = int.from_bytes(view[position : position + 4])
        end = position + 12 + length
        if end > len(data):
            raise truncated("PNG")
        kind = bytes(view[position + 4 : position + 8])
        if not kind[0] & 0x20 and zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(
            view[end - 4 : end]
        ):
            raise damaged("PNG", "a checksum does not match")
        yield kind, view[position + 8 : end - 4], view[position:end]
        if kind == b"IEND":
            check_nothing_follows(data, end, "PNG")
            return
        position = end
    raise ImageRejected("frames", f"The PNG file has more than {_MAX_CHUNKS} chunks.")


def inflate(compressed: memoryview | bytes, limit: int) -> bytes | None:
    """Decompress at most `limit` + 1 bytes, so that too long a stream can be told; None if not zlib."""
    try:
        return zlib.decompressobj().decompress(compressed, limit + 1)
    except _INFLATE_ERROR:
        return None


def read_header(data: bytes, limits: DecodeLimits) -> ImageHeader:
    """Check every chunk, and that the compressed pixels are all there. Raises `ImageRejected`."""
    shape: _Shape | None = None
    pixels: _PixelStream | None = None
    kept: list[bytes | memoryview] = [SIGNATURE]
    text_bytes = frames = 0
    has_palette = False
    icc_profile = exif = color_key = scanlines = None
    for kind, payload, whole in chunks(data):
        if shape is None:
            if kind != b"IHDR":
                raise damaged("PNG", "it does not begin with its header")
            shape = _read_shape(payload)
            check_dimensions(shape.width_px, shape.height_px, limits)
            pixels = _PixelStream(shape.passes())
            kept.append(whole)
        elif kind == b"IDAT":
            assert pixels is not None
            if shape.color_type == _PALETTE and not has_palette:
                raise damaged("PNG", "it has no palette")
            pixels.feed(payload)
            if pixels.scanlines is None:
                kept.append(whole)
        elif kind == b"PLTE":
            if not 3 <= len(payload) <= 768 or len(payload) % 3 or has_palette:
                raise damaged("PNG", "its palette is impossible")
            has_palette = True
            kept.append(whole)
        elif kind == b"tRNS" and shape.color_type == _PALETTE:
            kept.append(whole)
        elif kind == b"IEND":
            if pixels is None or pixels.scanlines is None:
                kept.append(whole)
            elif shape.mode is not None:
                scanlines = Scanlines(mode=shape.mode, stream=b"".join(_stored(pixels.scanlines)))
                kept.clear()
            else:
                kept += [*_chunk(b"IDAT", _stored(pixels.scanlines)), whole]
        elif kind == b"tRNS":
            color_key = shape.color_key(payload)
        elif kind == b"iCCP":
            if icc_profile is not None:
                raise damaged("PNG", "it has two color profiles")
            icc_profile = _read_profile(payload, limits)
        elif kind == b"eXIf":
            exif = bytes(payload)
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            text_bytes += _text_size(kind, payload, limits.max_text_bytes - text_bytes)
            if text_bytes > limits.max_text_bytes:
                raise ImageRejected(
                    "metadata",
                    f"The PNG file holds more text than the {limits.max_text_bytes} bytes accepted.",
                )
        elif kind == b"fcTL":
            frames += 1
            if frames > limits.max_frames:
                raise ImageRejected(
                    "frames", f"The animation has more than the {limits.max_frames} frames accepted."
                )
        elif not kind[0] & 0x20:
            raise damaged("PNG", "it has a critical part that no reader knows")
    if shape is None or pixels is None or not pixels.complete:
        raise truncated("PNG")
    return ImageHeader(
        format="PNG",
        width_px=shape.width_px,
        height_px=shape.height_px,
        pixel_file=b"".join(kept),
        scanlines=scanlines,
        icc_profile=icc_profile,
        exif=exif,
        color_key=color_key,
    )


@dataclass(frozen=True, kw_only=True)
class _Shape:
    width_px: int
    height_px: int
    bit_depth: int
    color_type: int
    interlaced: bool

    @property
    def mode(self) -> Literal["L", "LA", "RGB", "RGBA"] | None:
        """What scanlines alone can be decoded to; None for what more belongs to."""
        plain = self.bit_depth == 8 and not self.interlaced
        return _MODES.get(self.color_type) if plain else None

    def passes(self) -> list[tuple[int, int]]:
        """Of each pass of filtered scanlines that IDAT must hold: bytes in a row, its filter included, and rows."""
        bits = self.bit_depth * _CHANNELS[self.color_type]
        passes = []
        for x0, y0, dx, dy in _ADAM7 if self.interlaced else ((0, 0, 1, 1),):
            width, height = -(-(self.width_px - x0) // dx), -(-(self.height_px - y0) // dy)
            if width > 0 and height > 0:
                passes.append((1 + -(-width * bits // 8), height))
        return passes

    def color_key(self, payload: memoryview) -> tuple[int, ...] | None:
        """The tRNS colour on the 0-255 scale that pixels have once decoded.

        Pixels of 16 bits are decoded to their high byte, so their key is too.
        """
        count = {_GREY: 1, _RGB: 3}.get(self.color_type)
        if count is None or len(payload) != 2 * count:
            return None
        values = struct.unpack(f">{count}H", payload)
        if self.bit_depth == 16:
            return tuple(value >> 8 for value in values)
        top = (1 << self.bit_depth) - 1
        return tuple((value & top) * 255 // top for value in values)


def _read_shape(payload: memoryview) -> _Shape:
    if len(payload) != 13:
        raise damaged("PNG", "its header has the wrong length")
    width, height, bit_depth, color_type, compression, filtering, interlace = struct.unpack(
        ">IIBBBBB", payload
    )
    if bit_depth not in _BIT_DEPTHS.get(color_type, ()) or compression or filtering or interlace > 1:
        raise damaged("PNG", "its header declares a pixel format that does not exist")
    return _Shape(
        width_px=width,
        height_px=height,
        bit_depth=bit_depth,
        color_type=color_type,
        interlaced=bool(interlace),
    )


class _PixelStream:
    """Inflates IDAT only to count, and to look at each row's filter: what a decoder would stumble over in the last row
    is refused before a canvas is allocated.
    """

    def __init__(self, passes: list[tuple[int, int]]) -> None:
        self._row_bytes = [row_bytes for row_bytes, _ in passes]
        self._missing_bytes = [row_bytes * rows for row_bytes, rows in passes]
        self._inflater = zlib.decompressobj()
        self.scanlines: list[bytes] | None = [] if sum(self._missing_bytes) <= _KEPT_BYTES else None
        """What it has inflated, where that is small: the decoder is handed that, and need not inflate it again."""

    @property
    def complete(self) -> bool:
        return not self._missing_bytes

    def feed(self, compressed: memoryview) -> None:
        try:
            # Handing over bounded slices keeps the copy that zlib makes of unread input bounded, too.
            for at in range(0, len(compressed), _INFLATE_STEP_BYTES):
                pending: bytes | memoryview = compressed[at : at + _INFLATE_STEP_BYTES]
                while self._missing_bytes and not self._inflater.eof:
                    step = min(self._missing_bytes[0], _INFLATE_STEP_BYTES)
                    # It may hold back what it has inflated, with nothing left to read.
                    scanlines = self._inflater.decompress(pending, step)
                    if not scanlines:
                        break
                    self._take(scanlines)
                    pending = self._inflater.unconsumed_tail
        except _INFLATE_ERROR as error:
            raise damaged("PNG", "its pixels cannot be decompressed") from error

    def _take(self, scanlines: bytes) -> None:
        """Count what belongs to the current pass, and look at the first byte of each row that begins in it."""
        row_bytes, missing = self._row_bytes[0], self._missing_bytes[0]
        if max(scanlines[missing % row_bytes :: row_bytes], default=0) > _LAST_FILTER:
            raise damaged("PNG", "a row has a filter that does not exist")
        if self.scanlines is not None:
            self.scanlines.append(scanlines)
        self._missing_bytes[0] -= len(scanlines)
        if not self._missing_bytes[0]:
            del self._row_bytes[0], self._missing_bytes[0]


def _chunk(kind: bytes, payload: Sequence[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """A chunk in parts, so that nothing is copied."""
    checksum = zlib.crc32(kind)
    for part in payload:
        checksum = zlib.crc32(part, checksum)
    yield struct.pack(">I", sum(map(len, payload)))
    yield kind
    yield from payload
    yield struct.pack(">I", checksum)


def _stored(parts: Iterable[bytes]) -> list[bytes | memoryview]:
    """A zlib stream that holds data as it is (RFC 1950; RFC 1951, section 3.2.4), in parts."""
    stream: list[bytes | memoryview] = [b"\x78\x01"]
    checksum = zlib.adler32(b"")
    for part in parts:
        checksum = zlib.adler32(part, checksum)
        view = memoryview(part)
        for start in range(0, len(view), _STORED_BYTES):
            block = view[start : start + _STORED_BYTES]
            stream += [struct.pack("<BHH", 0, len(block), len(block) ^ 0xFFFF), block]
    stream += [struct.pack("<BHH", 1, 0, 0xFFFF), struct.pack(">I", checksum)]
    return stream


def _read_profile(payload: memoryview, limits: DecodeLimits) -> bytes:
    """The profile; empty where it is broken, which stands for none."""
    # Profile name of 1 to 79 bytes, a null, the compression method, the compressed profile.
    head = bytes(payload[:81])
    null = head.find(b"\0")
    if null < 1 or head[null + 1 : null + 2] != b"\0":
        return b""
    profile = inflate(payload[null + 2 :], limits.max_profile_bytes) or b""
    check_profile_size(len(profile), limits)
    return profile


def _text_size(kind: bytes, payload: memoryview, budget: int) -> int:
    """Size of a text chunk once decompressed, or anything above `budget` as soon as it is above."""
    size = len(payload)
    if kind == b"tEXt" or size > budget:
        return size
    # The keyword has at most 79 bytes. A chunk without its null is not text, and is dropped unread.
    null = bytes(payload[:80]).find(b"\0")
    if null < 0:
        return size
    if kind == b"zTXt":
        start = null + 2
    else:
        if bytes(payload[null + 1 : null + 2]) != b"\1":
            return size
        fields = bytes(payload[null + 3 : null + 3 + 4096]).split(b"\0", 2)
        if len(fields) < 3:
            return size
        start = null + 3 + len(fields[0]) + len(fields[1]) + 2
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(payload[start:], _INFLATE_STEP_BYTES)
        while text:
            size += len(text)
            if size > budget:
                break
            text = inflater.decompress(inflater.unconsumed_tail, _INFLATE_STEP_BYTES)
    except _INFLATE_ERROR:
        pass
    return size
