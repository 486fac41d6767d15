"""The corpus of files that cost more than they are worth: bombs, lying headers, cut files, two files in one.

Each is made when the tests run, by name, with the reason for which it is refused.
"""

import functools
import struct
import zlib
from collections.abc import Callable

from PIL import Image

from .files import encoded, png, png_chunk, png_header, riff, vp8x, zeros_compressed

MIB = 1024 * 1024
LARGE_PX = 7071
"""A side of the largest square that the budget of 50 megapixels allows."""

Hostile = tuple[Callable[[], bytes], str]


@functools.cache
def gradient(side_px: int) -> Image.Image:
    return Image.merge(
        "RGB", [Image.linear_gradient("L").rotate(90 * turn).resize((side_px, side_px)) for turn in range(3)]
    )


def one_pixel_with(*chunks: bytes) -> bytes:
    return png([b"\x80"], width_px=1, color_type=0, chunks=chunks)


END = png_chunk(b"IEND", b"")


def _flat_png(side_px: int) -> bytes:
    pixels = zeros_compressed((1 + side_px // 8) * side_px)
    return png_header(side_px, side_px, color_type=0, bit_depth=1) + png_chunk(b"IDAT", pixels) + END


def cut_pixels() -> bytes:
    """4000 x 4000 RGB pixels with only the last row missing, every chunk in order."""
    pixels = zeros_compressed((1 + 3 * 4000) * 3999)
    return png_header(4000, 4000, color_type=2) + png_chunk(b"IDAT", pixels) + END


def _bad_last_row() -> bytes:
    compressor = zlib.compressobj(1)
    row = bytes(1 + 3 * LARGE_PX)
    pixels = [compressor.compress(row) for _ in range(LARGE_PX - 1)]
    pixels += [compressor.compress(b"\5" + row[1:]), compressor.flush()]
    return png_header(LARGE_PX, LARGE_PX, color_type=2) + png_chunk(b"IDAT", b"".join(pixels)) + END


def _bad_last_pass() -> bytes:
    """Adam7, whose seventh pass begins in the middle of the pixels."""
    fields = struct.pack(">IIBBBBB", 4000, 4000, 8, 0, 0, 0, 1)
    header = png_header(1, 1, color_type=0)[:8] + png_chunk(b"IHDR", fields)
    return header + png_chunk(b"IDAT", zlib.compress(bytes(12 * MIB) + b"\xff" * (6 * MIB), 1)) + END


def _no_palette() -> bytes:
    pixels = zeros_compressed((1 + LARGE_PX) * LARGE_PX)
    return png_header(LARGE_PX, LARGE_PX, color_type=3) + png_chunk(b"IDAT", pixels) + END


def _long_chunk() -> bytes:
    return png_header(8, 8, color_type=2) + struct.pack(">I", 2**31 - 1) + b"IDAT" + bytes(100)


PNG: dict[str, Hostile] = {
    "png, one color, 60000 x 60000": (lambda: _flat_png(60_000), "dimensions"),
    "png that claims 4 billion pixels a side": (
        lambda: png_header(2**32 - 1, 2**32 - 1, color_type=2) + END,
        "dimensions",
    ),
    "png, zTXt bomb": (
        lambda: one_pixel_with(png_chunk(b"zTXt", b"Comment\0\0" + zeros_compressed(256 * MIB))),
        "metadata",
    ),
    "png, iTXt bomb": (
        lambda: one_pixel_with(
            png_chunk(b"iTXt", b"Comment\0\1\0en\0Comment\0" + zeros_compressed(256 * MIB))
        ),
        "metadata",
    ),
    "png, iCCP bomb": (
        lambda: one_pixel_with(png_chunk(b"iCCP", b"profile\0\0" + zeros_compressed(256 * MIB))),
        "metadata",
    ),
    "png, many small zTXt bombs": (
        lambda: one_pixel_with(*[png_chunk(b"zTXt", b"Comment\0\0" + zeros_compressed(MIB))] * 100),
        "metadata",
    ),
    "png, plain text of 10 MiB": (
        lambda: one_pixel_with(png_chunk(b"tEXt", b"Comment\0" + bytes(10 * MIB))),
        "metadata",
    ),
    "png, animation of 20,000 frames": (
        lambda: one_pixel_with(*[png_chunk(b"fcTL", bytes(26))] * 20_000),
        "frames",
    ),
    "png of 200,000 empty chunks": (
        lambda: one_pixel_with(*[png_chunk(b"IDAT", b"")] * 200_000),
        "frames",
    ),
    "png, 50 megapixels, the last row broken": (_bad_last_row, "damaged"),
    "png, interlaced, the last pass broken": (_bad_last_pass, "damaged"),
    "png, 50 megapixels without their palette": (_no_palette, "damaged"),
    "png, a chunk that claims 2 GiB": (_long_chunk, "truncated"),
    "png cut short": (lambda: encoded(gradient(4000), "PNG", compress_level=1)[:-1000], "truncated"),
    "png without its last pixels": (cut_pixels, "truncated"),
    "png with a zip archive behind it": (lambda: one_pixel_with() + b"PK\x03\x04 an archive", "trailing"),
}


def _jpeg(**options: object) -> bytes:
    return encoded(gradient(64), "JPEG", **options)


@functools.cache
def large_progressive() -> bytes:
    """50 megapixels of one colour in ten scans."""
    return encoded(Image.new("RGB", (LARGE_PX, LARGE_PX), "teal"), "JPEG", progressive=True)


def _claimed_size(data: bytes, marker: bytes, width_px: int, height_px: int) -> bytes:
    at = data.index(marker) + 5
    return data[:at] + struct.pack(">HH", height_px, width_px) + data[at + 4 :]


def _with_last_scan(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    at = data.rindex(b"\xff\xda")
    return data[:at] + change(data[at:-2]) + data[-2:]


def _impossible_band(scan: bytes) -> bytes:
    parameters_at = 5 + 2 * scan[4]
    return scan[:parameters_at] + b"\x46" + scan[parameters_at + 1 :]


def _foreign_component(scan: bytes) -> bytes:
    return scan[:5] + b"\x63" + scan[6:]


def _missing_table(scan: bytes) -> bytes:
    return scan[:6] + b"\x33" + scan[7:]


JPEG: dict[str, Hostile] = {
    "jpeg that claims 65500 pixels a side": (
        lambda: _claimed_size(_jpeg(), b"\xff\xc0", 65500, 65500),
        "dimensions",
    ),
    "jpeg of 1,000 scans": (
        lambda: _with_last_scan(_jpeg(progressive=True), lambda scan: scan * 1000),
        "frames",
    ),
    "jpeg, 50 megapixels in 40 scans": (
        lambda: _with_last_scan(large_progressive(), lambda scan: scan * 40),
        "frames",
    ),
    "jpeg of 20,000 segments": (
        lambda: b"\xff\xd8" + b"\xff\xfe\0\2" * 20_000 + _jpeg()[2:],
        "frames",
    ),
    "jpeg, 50 megapixels, the last scan of coefficients that do not exist": (
        lambda: _with_last_scan(large_progressive(), _impossible_band),
        "damaged",
    ),
    "jpeg, 50 megapixels, the last scan of a component that does not exist": (
        lambda: _with_last_scan(large_progressive(), _foreign_component),
        "damaged",
    ),
    "jpeg, 50 megapixels, the last scan without its table": (
        lambda: _with_last_scan(large_progressive(), _missing_table),
        "damaged",
    ),
    "jpeg, 50 megapixels, a marker of nobody before the last scan": (
        lambda: _with_last_scan(large_progressive(), lambda scan: b"\xff\x02\0\2" + scan),
        "damaged",
    ),
    "jpeg, 50 megapixels, an impossible Huffman table before the last scan": (
        lambda: _with_last_scan(
            large_progressive(), lambda scan: b"\xff\xc4\0\x16\x10\3" + bytes(15) + bytes(3) + scan
        ),
        "damaged",
    ),
    "jpeg of 12 bits": (lambda: _jpeg().replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"), "damaged"),
    "jpeg in arithmetic coding": (lambda: _jpeg().replace(b"\xff\xc0", b"\xff\xc9"), "damaged"),
    "jpeg with a profile of 5 MiB": (lambda: _jpeg(icc_profile=bytes(5 * MIB)), "metadata"),
    "jpeg cut short": (lambda: encoded(gradient(4000), "JPEG", progressive=True)[:-1000], "truncated"),
    "jpeg with a document behind it": (lambda: _jpeg() + b"\r\n%PDF-1.7", "trailing"),
}


def _lossless(side_px: int, data: bytes) -> bytes:
    sides = (side_px - 1) | (side_px - 1) << 14
    return riff((b"VP8L", b"\x2f" + sides.to_bytes(4, "little") + data))


def _webp_that_ends_early() -> bytes:
    data = encoded(gradient(3600), "WEBP", method=0)
    return riff((b"VP8 ", data[20:-1000]))


def _lossless_that_breaks_late() -> bytes:
    return encoded(gradient(2600), "WEBP", lossless=True, method=0)[:-40] + b"\xa5" * 40


WEBP: dict[str, Hostile] = {
    "webp canvas of 16 million pixels a side": (lambda: riff(vp8x(1 << 24, 1 << 24)), "dimensions"),
    "webp, 50 megapixels in 30 bytes": (lambda: _lossless(LARGE_PX, bytes(5)), "dimensions"),
    "webp, 7 megapixels in 30 bytes": (lambda: _lossless(2600, b"\xa5" * 5), "damaged"),
    "webp, 7 megapixels that break off at the end": (_lossless_that_breaks_late, "damaged"),
    "webp, 13 megapixels that end early": (_webp_that_ends_early, "damaged"),
    "webp whose picture is larger than its canvas": (
        lambda: riff(vp8x(8, 8), (b"VP8L", _lossless(2600, bytes(5))[20:])),
        "damaged",
    ),
    "webp, animation of 20,000 frames": (
        lambda: riff(vp8x(64, 64, 2), (b"ANIM", bytes(6)), *[(b"ANMF", bytes(16))] * 20_000),
        "frames",
    ),
    "webp of 200,000 empty chunks": (lambda: riff(vp8x(8, 8), *[(b"JUNK", b"")] * 200_000), "frames"),
    "webp with a profile of 5 MiB": (lambda: riff(vp8x(8, 8), (b"ICCP", bytes(5 * MIB))), "metadata"),
    "webp without a picture": (lambda: riff(vp8x(8, 8)), "truncated"),
    "webp that claims 4 GiB": (lambda: b"RIFF\xff\xff\xff\xffWEBP" + bytes(100), "truncated"),
    "webp cut short": (lambda: encoded(gradient(2000), "WEBP", method=0)[:-1000], "truncated"),
    "webp with a zip archive behind it": (
        lambda: encoded(gradient(16), "WEBP") + b"PK\x03\x04 an archive",
        "trailing",
    ),
}


def _gif(side_px: int, data: bytes, *, screen_px: int | None = None) -> bytes:
    screen = struct.pack("<HHBBB", screen_px or side_px, screen_px or side_px, 0x80, 0, 0)
    return b"GIF89a" + screen + bytes(6) + b"," + struct.pack("<HHHHB", 0, 0, side_px, side_px, 0) + data


def _broken_codes() -> bytes:
    data = bytearray(encoded(Image.new("P", (LARGE_PX, LARGE_PX)), "GIF"))
    data[-400:-300] = b"\xff" * 100
    return bytes(data)


def _blocks(size_bytes: int) -> bytes:
    return (b"\xff" + bytes(255)) * (size_bytes // 256) + b"\0"


def _frames_after_the_first() -> bytes:
    data = encoded(gradient(16), "GIF")
    return data[:-1] + (b"," + bytes(8) + b"\0\2\0") * 20_000 + b";"


GIF: dict[str, Hostile] = {
    "gif that claims 65535 pixels a side": (lambda: _gif(65535, b"\2\0;"), "dimensions"),
    "gif whose picture reaches over its screen": (lambda: _gif(65535, b"\2\0;", screen_px=8), "dimensions"),
    "gif of a million blocks of a byte": (lambda: _gif(8, b"\2" + b"\1\0" * 1_000_000 + b"\0;"), "frames"),
    "gif, animation of 20,000 frames": (_frames_after_the_first, "frames"),
    "gif of 30 MiB and 50 megapixels": (
        lambda: _gif(LARGE_PX, b"\2" + _blocks(30 * MIB) + b";"),
        "dimensions",
    ),
    "gif, 50 megapixels, its codes broken": (_broken_codes, "damaged"),
    "gif, 50 megapixels of nothing": (lambda: _gif(LARGE_PX, b"\x08\1\xff\0;"), "truncated"),
    "gif without a picture": (lambda: b"GIF89a" + bytes(7) + b";", "damaged"),
    "gif cut short": (lambda: encoded(gradient(400), "GIF")[:-100], "truncated"),
    "gif with a zip archive behind it": (
        lambda: encoded(gradient(16), "GIF") + b"PK\x03\x04 an archive",
        "trailing",
    ),
}


def _bmp(width_px: int, height_px: int, data: bytes, *, bits: int = 8, compression: int = 0) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width_px, height_px, 1, bits, compression, 0, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(data), 0, 0, 54 + 1024) + header + bytes(1024) + data


BMP: dict[str, Hostile] = {
    "bmp that claims 2 billion pixels a side": (lambda: _bmp(2**31 - 1, -(2**31), b""), "dimensions"),
    "bmp of a negative width": (lambda: _bmp(-64, 64, bytes(64 * 64)), "damaged"),
    "bmp without its pixels": (lambda: _bmp(7000, -7000, b""), "truncated"),
    "bmp, 50 megapixels in runs": (lambda: _bmp(LARGE_PX, LARGE_PX, b"\0\1", compression=1), "dimensions"),
    "bmp, 31 MiB of empty runs": (
        lambda: _bmp(64, 64, b"\1\1" * (31 * MIB // 2), compression=1),
        "dimensions",
    ),
    "bmp, 4 megapixels of short lines": (
        lambda: _bmp(2048, 2048, b"\1\1\0\0" * 2047 + b"\0\1", compression=1),
        "damaged",
    ),
    "bmp of no depth": (lambda: _bmp(4096, 4096, b"", bits=0), "damaged"),
    "bmp of an unknown header": (lambda: b"BM" + bytes(12) + struct.pack("<I", 16) + bytes(100), "damaged"),
    "bmp of an unknown compression": (lambda: _bmp(8, 8, bytes(64), compression=9), "damaged"),
    "bmp with a zip archive behind it": (
        lambda: encoded(gradient(16), "BMP") + b"PK\x03\x04 an archive",
        "trailing",
    ),
}

OTHER: dict[str, Hostile] = {
    "33 MiB of zeros": (lambda: bytes(33 * MIB), "bytes"),
    "a 33 MiB png": (lambda: png_header(8, 8, color_type=2) + bytes(33 * MIB), "bytes"),
    "nothing": (lambda: b"", "empty"),
    "an svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "format"),
    "a zip archive named as a picture": (lambda: b"PK\x03\x04" + bytes(1000), "format"),
    "a tiff": (lambda: encoded(gradient(16), "TIFF"), "format"),
    "an icon": (lambda: encoded(gradient(16), "ICO"), "format"),
}

HOSTILE_FILES: dict[str, Hostile] = {**PNG, **JPEG, **WEBP, **GIF, **BMP, **OTHER}
