"""Image files and colour profiles made by hand, for what Pillow does not write."""

import io
import struct
import zlib
from collections.abc import Iterable, Sequence

from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Colourants adapted to D50, as the profiles of these spaces hold them.
SRGB_COLORANTS = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
DISPLAY_P3_COLORANTS = (
    (0.51512, 0.24120, -0.00105),
    (0.29198, 0.69225, 0.04189),
    (0.15710, 0.06657, 0.78407),
)
ADOBE_RGB_COLORANTS = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
ADOBE_RGB_GAMMA = 2.19921875


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    """The image as Pillow writes it."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, payload: bytes) -> bytes:
    """A PNG chunk with its length and checksum."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def png_header(width_px: int, height_px: int, *, color_type: int, bit_depth: int = 8) -> bytes:
    """Signature and IHDR."""
    fields = struct.pack(">IIBBBBB", width_px, height_px, bit_depth, color_type, 0, 0, 0)
    return PNG_SIGNATURE + png_chunk(b"IHDR", fields)


def png(
    rows: Sequence[bytes],
    *,
    width_px: int,
    color_type: int,
    bit_depth: int = 8,
    chunks: Iterable[bytes] = (),
    late_chunks: Iterable[bytes] = (),
) -> bytes:
    """A PNG from packed rows, with extra chunks before and after its pixels."""
    return b"".join(
        (
            png_header(width_px, len(rows), color_type=color_type, bit_depth=bit_depth),
            *chunks,
            png_chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))),
            *late_chunks,
            png_chunk(b"IEND", b""),
        )
    )


def zeros_compressed(size_bytes: int) -> bytes:
    """A zlib stream of that many zeros, made without holding them."""
    compressor = zlib.compressobj(1)
    block = bytes(1 << 20)
    pieces = [compressor.compress(block) for _ in range(size_bytes >> 20)]
    return b"".join((*pieces, compressor.compress(bytes(size_bytes & 0xFFFFF)), compressor.flush()))


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP file of these chunks."""
    body = b"".join(
        kind + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) & 1)
        for kind, payload in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def vp8x(width_px: int, height_px: int, flags: int = 0) -> tuple[bytes, bytes]:
    """The extended header of a WebP file."""
    sides = (width_px - 1).to_bytes(3, "little") + (height_px - 1).to_bytes(3, "little")
    return b"VP8X", bytes([flags, 0, 0, 0]) + sides


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2.1 (ICC.1:1998-09)."""
    table, body = b"", b""
    at = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", at + len(body), len(value))
        body += value + b"\0" * (-len(value) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"\0" * 4, 0x02100000, kind, space, connection)
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28 + _fixed(0.9642, 1.0, 0.8249)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _gamma_curve(gamma: float) -> bytes:
    return b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256))


def _srgb_curve() -> bytes:
    values = [round(srgb_to_linear(step / 1023) * 65535) for step in range(1024)]
    return b"curv" + struct.pack(">II1024H", 0, 1024, *values)


def srgb_to_linear(value: float) -> float:
    """The sRGB transfer function (IEC 61966-2-1), 0 to 1."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def linear_to_srgb(value: float) -> float:
    """Its inverse, clipped to 0 to 1."""
    value = min(max(value, 0.0), 1.0)
    return value * 12.92 if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055


def rgb_profile(colorants: Sequence[Sequence[float]], gamma: float | None = None) -> bytes:
    """A profile of three colourants, with a plain gamma or (None) the curve of sRGB."""
    curve = _srgb_curve() if gamma is None else _gamma_curve(gamma)
    tags = {b"wtpt": b"XYZ \0\0\0\0" + _fixed(0.9642, 1.0, 0.8249)}
    for letter, colorant in zip((b"r", b"g", b"b"), colorants, strict=True):
        tags[letter + b"XYZ"] = b"XYZ \0\0\0\0" + _fixed(*colorant)
        tags[letter + b"TRC"] = curve
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def grey_profile(gamma: float) -> bytes:
    """A profile for greyscale pictures."""
    tags = {b"wtpt": b"XYZ \0\0\0\0" + _fixed(0.9642, 1.0, 0.8249), b"kTRC": _gamma_curve(gamma)}
    return _profile(b"mntr", b"GRAY", b"XYZ ", tags)


def cmyk_profile_with_red_cyan() -> bytes:
    """A press whose cyan ink is red and whose other inks are all black, as no plain conversion would have it."""
    identity = bytes(range(256))
    paper, red, black = bytes((255, 128, 128)), bytes((136, 208, 195)), bytes((0, 128, 128))
    grid = b"".join(paper if corner == 0 else red if corner == 0b1000 else black for corner in range(16))
    table = (
        b"mft1\0\0\0\0"
        + bytes((4, 3, 2, 0))
        + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
        + identity * 4
        + grid
        + identity * 3
    )
    return _profile(
        b"prtr", b"CMYK", b"Lab ", {b"wtpt": b"XYZ \0\0\0\0" + _fixed(0.9642, 1.0, 0.8249), b"A2B0": table}
    )


def as_srgb(
    rgb: tuple[int, int, int], colorants: Sequence[Sequence[float]], gamma: float | None
) -> tuple[int, ...]:
    """A colour of another space as sRGB, by the textbook: linear light, XYZ, linear sRGB, encoded."""
    linear = [srgb_to_linear(value / 255) if gamma is None else (value / 255) ** gamma for value in rgb]
    xyz = [sum(colorants[k][axis] * linear[k] for k in range(3)) for axis in range(3)]
    # Cramer's rule on the matrix whose columns are the colourants of sRGB.
    (a, d, g), (b, e, h), (c, f, i) = SRGB_COLORANTS
    det = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    x, y, z = xyz
    return tuple(
        round(255 * linear_to_srgb(numerator / det))
        for numerator in (
            x * (e * i - f * h) - b * (y * i - f * z) + c * (y * h - e * z),
            a * (y * i - f * z) - x * (d * i - f * g) + c * (d * z - y * g),
            a * (e * z - y * h) - b * (d * z - y * g) + x * (d * h - e * g),
        )
    )
