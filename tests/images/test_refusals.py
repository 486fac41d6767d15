"""Hostile and broken files are refused with a clear error, and cheaply."""

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from underpaint.images import UPLOAD_FORMATS, DecodeLimits, ImageRejected, decode_image

from .files import encoded, png, png_chunk, png_header
from .hostile_files import HOSTILE_FILES, LARGE_PX, MIB, gradient, one_pixel_with


def reason_of(data: bytes, limits: DecodeLimits | None = None) -> str:
    with pytest.raises(ImageRejected) as refused:
        decode_image(data, limits=limits or DecodeLimits(), formats=UPLOAD_FORMATS)
    assert str(refused.value).endswith(".")
    return refused.value.reason


# Decodes one file after the other and reports how far the peak of resident memory has risen since the start, the
# bytes of the files included, and the seconds of processor time that it took.
MEASURE = """
import io, json, pathlib, sys, time
from PIL import Image
from underpaint.images import UPLOAD_FORMATS, ImageRejected, decode_image

def peak_mib():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

for format in UPLOAD_FORMATS:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format)
    decode_image(buffer.getvalue(), formats=UPLOAD_FORMATS)
before = peak_mib()
for path in sys.argv[1:]:
    began = time.process_time()
    try:
        decode_image(pathlib.Path(path).read_bytes(), formats=UPLOAD_FORMATS)
        reason = "accepted"
    except ImageRejected as error:
        reason, message = error.reason, str(error)
        assert message.endswith("."), message
    print(json.dumps([reason, peak_mib() - before, time.process_time() - began]))
"""
MOST_MIB = 64
MOST_SECONDS = 5
"""Of processor time. The slowest takes half a second where these tests were written."""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_refusing_costs_little_memory_and_time(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(len(HOSTILE_FILES))]
    for path, (make, _) in zip(paths, HOSTILE_FILES.values(), strict=True):
        path.write_bytes(make())
    run = subprocess.run([sys.executable, "-c", MEASURE, *paths], capture_output=True, check=True, text=True)
    reports = [json.loads(line) for line in run.stdout.splitlines()]
    assert {name: reason for name, (reason, *_) in zip(HOSTILE_FILES, reports, strict=True)} == {
        name: reason for name, (_, reason) in HOSTILE_FILES.items()
    }
    risen_mib = {name: risen for name, (_, risen, _) in zip(HOSTILE_FILES, reports, strict=True)}
    assert max(risen_mib.values()) < MOST_MIB, risen_mib
    seconds = {name: taken for name, (_, _, taken) in zip(HOSTILE_FILES, reports, strict=True)}
    assert max(seconds.values()) < MOST_SECONDS, seconds


def test_pictures_of_ordinary_sizes_pass_every_budget() -> None:
    for format, size in (("WEBP", (4032, 3024)), ("GIF", (4032, 3024)), ("JPEG", (LARGE_PX, LARGE_PX))):
        data = encoded(Image.new("RGB", size, "teal"), format)
        assert decode_image(data, formats=UPLOAD_FORMATS).size == size


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP"])
def test_a_file_cut_anywhere_is_refused(format: str) -> None:
    data = encoded(gradient(40), format)
    for length in range(1, len(data), max(1, len(data) // 60)):
        assert reason_of(data[:length]) in {"truncated", "damaged", "format"}, length
    assert reason_of(data[:-1]) == "truncated"


def test_a_gif_cut_within_its_first_picture_is_refused() -> None:
    data = encoded(gradient(40), "GIF")
    # The last two bytes close the picture and the file; without the very last one the picture is whole.
    for length in range(1, len(data) - 1, 37):
        assert reason_of(data[:length]) in {"truncated", "damaged", "format"}, length


def test_no_bytes_are_no_picture() -> None:
    assert reason_of(b"") == "empty"


def test_text_is_no_picture() -> None:
    assert reason_of(b"<svg xmlns='http://www.w3.org/2000/svg'/>") == "format"


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_a_file_with_another_file_behind_it_is_refused(format: str) -> None:
    picture = encoded(gradient(16), format)
    assert reason_of(picture + b"PK\x03\x04 an archive") == "trailing"
    assert decode_image(picture + bytes(100)).size == (16, 16)


@pytest.mark.parametrize("appended", [b"PK\x03\x04", b"%PDF-1.7", b"\r\n<!DOCTYPE html>", b"<?php"])
def test_a_photo_with_a_document_behind_it_is_refused(appended: bytes) -> None:
    assert reason_of(encoded(gradient(16), "JPEG") + appended) == "trailing"


def test_a_wrong_checksum_is_refused() -> None:
    data = bytearray(encoded(gradient(16), "PNG"))
    # The last byte before the twelve of IEND belongs to the checksum of the pixels.
    data[-13] ^= 1
    assert reason_of(bytes(data)) == "damaged"


def test_pixels_that_are_not_compressed_data_are_refused() -> None:
    data = png_header(4, 4, color_type=0) + png_chunk(b"IDAT", b"not zlib at all") + png_chunk(b"IEND", b"")
    assert reason_of(data) == "damaged"


@pytest.mark.parametrize(
    ("color_type", "bit_depth"), [(1, 8), (5, 8), (7, 8), (2, 4), (3, 16), (0, 3), (6, 1)]
)
def test_a_pixel_format_that_does_not_exist_is_refused(color_type: int, bit_depth: int) -> None:
    assert reason_of(png([b"\0" * 8], width_px=1, color_type=color_type, bit_depth=bit_depth)) == "damaged"


def test_a_png_with_two_profiles_is_refused() -> None:
    profile = png_chunk(b"iCCP", b"profile\0\0" + zlib.compress(b"profile"))
    assert reason_of(one_pixel_with(profile, profile)) == "damaged"


@pytest.mark.parametrize(("width_px", "height_px"), [(0, 5), (5, 0)])
def test_a_picture_without_pixels_is_refused(width_px: int, height_px: int) -> None:
    data = png_header(width_px, height_px, color_type=0) + png_chunk(b"IEND", b"")
    assert reason_of(data) == "damaged"


def test_a_jpeg_of_a_thousand_scans_is_refused() -> None:
    data = encoded(gradient(16), "JPEG", progressive=True)
    last_scan = data.rindex(b"\xff\xda")
    assert reason_of(data[:-2] + data[last_scan:-2] * 1000 + data[-2:]) == "frames"


def test_a_jpeg_with_two_frame_headers_is_refused() -> None:
    data = encoded(gradient(16), "JPEG")
    frame = data.index(b"\xff\xc0")
    length = 2 + int.from_bytes(data[frame + 2 : frame + 4])
    assert reason_of(data[:frame] + data[frame : frame + length] + data[frame:]) == "damaged"


def test_a_large_profile_in_a_jpeg_is_refused() -> None:
    data = encoded(gradient(16), "JPEG", icc_profile=bytes(3 * MIB))
    assert decode_image(data).size == (16, 16)
    assert reason_of(data, DecodeLimits(max_profile_bytes=2 * MIB)) == "metadata"


def test_a_gif_whose_picture_is_larger_than_its_screen_is_measured_by_the_picture() -> None:
    data = bytearray(encoded(gradient(16), "GIF"))
    data[6:10] = struct.pack("<HH", 1, 1)
    assert reason_of(bytes(data), DecodeLimits(max_side_px=15)) == "dimensions"


def test_a_bmp_whose_compression_does_not_fit_its_pixels_is_refused() -> None:
    data = bytearray(encoded(gradient(16), "BMP"))
    data[30] = 1
    assert reason_of(bytes(data)) == "damaged"


def test_a_bmp_without_its_pixels_is_refused() -> None:
    data = bytearray(encoded(gradient(16), "BMP"))
    data[18:26] = struct.pack("<ii", 7000, -7000)
    assert reason_of(bytes(data)) == "truncated"


VALID = [
    encoded(gradient(12), "PNG"),
    encoded(gradient(12).convert("P"), "PNG", transparency=3),
    encoded(gradient(12), "JPEG"),
    encoded(gradient(12).convert("CMYK"), "JPEG"),
    encoded(
        gradient(12),
        "JPEG",
        progressive=True,
        exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0",
    ),
    encoded(gradient(12), "WEBP"),
    encoded(gradient(12).convert("RGBA"), "WEBP", lossless=True, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"),
    encoded(gradient(12), "GIF"),
    encoded(gradient(12), "BMP"),
    encoded(gradient(12).convert("P"), "BMP"),
]
SMALL = DecodeLimits(max_pixels=1 << 20)


def image_or_refusal(data: bytes) -> None:
    try:
        image = decode_image(data, limits=SMALL, formats=UPLOAD_FORMATS)
    except ImageRejected:
        return
    assert image.mode == "RGB"
    assert image.width * image.height <= SMALL.max_pixels


@settings(max_examples=150, deadline=None)
@given(
    head=st.sampled_from(
        [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\x40\0\0\0WEBP", b"GIF89a", b"BM"]
    ),
    tail=st.binary(max_size=300),
)
def test_any_bytes_are_an_image_or_a_refusal(head: bytes, tail: bytes) -> None:
    image_or_refusal(head + tail)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    original=st.sampled_from(VALID),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6
    ),
    repaired=st.booleans(),
)
def test_any_changed_file_is_an_image_or_a_refusal(
    original: bytes, changes: list[tuple[float, int]], repaired: bool
) -> None:
    data = bytearray(original)
    for place, value in changes:
        data[int(place * len(data))] = value
    image_or_refusal(with_checksums(bytes(data)) if repaired else bytes(data))


def with_checksums(data: bytes) -> bytes:
    """Repair the checksums of a PNG, so that changes get past them."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    repaired, position = data[:8], 8
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4])
        repaired += png_chunk(data[position + 4 : position + 8], data[position + 8 : position + 8 + length])
        position += 12 + length
    return repaired
