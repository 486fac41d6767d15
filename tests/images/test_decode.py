"""Whatever the file, the pixels come out upright, opaque, 8-bit and sRGB."""

import random
import struct
import threading
import zlib
from collections.abc import Callable

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from underpaint.images import SEED_FORMATS, UPLOAD_FORMATS, DecodeLimits, ImageRejected, decode_image

from .files import (
    ADOBE_RGB_COLORANTS,
    ADOBE_RGB_GAMMA,
    DISPLAY_P3_COLORANTS,
    SRGB_COLORANTS,
    as_srgb,
    cmyk_profile_with_red_cyan,
    encoded,
    grey_profile,
    png,
    png_chunk,
    rgb_profile,
    riff,
    srgb_to_linear,
)

Color = tuple[int, ...]


def picture() -> Image.Image:
    """Three by two pixels, all different."""
    image = Image.new("RGB", (3, 2))
    for x in range(3):
        for y in range(2):
            image.putpixel((x, y), (80 * x, 200 * y, 40 + 60 * x))
    return image


def pixel(image: Image.Image, x: int = 0, y: int = 0) -> Color:
    value = image.getpixel((x, y))
    assert isinstance(value, tuple)
    return tuple(int(part) for part in value)


def assert_close(found: Color, expected: Color, tolerance: int = 2) -> None:
    assert len(found) == len(expected)
    assert all(abs(a - b) <= tolerance for a, b in zip(found, expected, strict=True)), (found, expected)


# Which upright pixel (x, y) is stored in row r and column c of a w x h picture: TIFF 6.0, tag Orientation, which says
# at which side of the upright picture the first row and the first column are.
STORED_FROM: dict[int, Callable[[int, int, int, int], tuple[int, int]]] = {
    1: lambda r, c, w, h: (c, r),
    2: lambda r, c, w, h: (w - 1 - c, r),
    3: lambda r, c, w, h: (w - 1 - c, h - 1 - r),
    4: lambda r, c, w, h: (c, h - 1 - r),
    5: lambda r, c, w, h: (r, c),
    6: lambda r, c, w, h: (w - 1 - r, c),
    7: lambda r, c, w, h: (w - 1 - r, h - 1 - c),
    8: lambda r, c, w, h: (r, h - 1 - c),
}


def stored(upright: Image.Image, orientation: int) -> Image.Image:
    w, h = upright.size
    image = Image.new("RGB", (h, w) if orientation >= 5 else (w, h))
    for c in range(image.width):
        for r in range(image.height):
            image.putpixel((c, r), pixel(upright, *STORED_FROM[orientation](r, c, w, h)))
    return image


def exif_with(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_every_exif_orientation_is_turned_upright(orientation: int, format: str) -> None:
    data = encoded(
        stored(picture(), orientation), format, exif=exif_with(orientation), lossless=True, exact=True
    )
    assert decode_image(data).tobytes() == picture().tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_photos_are_turned_upright(orientation: int) -> None:
    upright = picture().resize((48, 32), Image.Resampling.NEAREST)
    data = encoded(
        stored(upright, orientation), "JPEG", quality=100, subsampling=0, exif=exif_with(orientation)
    )
    image = decode_image(data)
    assert image.size == (48, 32)
    for x in range(3):
        for y in range(2):
            assert_close(pixel(image, 16 * x + 8, 16 * y + 8), pixel(picture(), x, y), 6)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_ignored(orientation: int) -> None:
    assert decode_image(encoded(picture(), "PNG", exif=exif_with(orientation))).size == (3, 2)


def test_exif_after_the_pixels_of_a_png_counts_too() -> None:
    rows = [bytes((255, 0)), bytes((255, 0)), bytes((255, 0))]
    late = png_chunk(b"eXIf", exif_with(6).removeprefix(b"Exif\0\0"))
    assert decode_image(png(rows, width_px=2, color_type=0, late_chunks=[late])).size == (3, 2)


XMP_TURNED = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_an_orientation_in_xmp_is_not_applied(format: str) -> None:
    assert decode_image(encoded(picture(), format, xmp=XMP_TURNED)).size == (3, 2)


def test_an_orientation_in_the_text_of_a_png_is_not_applied() -> None:
    raw_profile = "\nexif\n" + f"{len(exif_with(6)):8}\n" + exif_with(6).hex()
    for key, text in (("XML:com.adobe.xmp", XMP_TURNED.decode()), ("Raw profile type exif", raw_profile)):
        info = PngImagePlugin.PngInfo()
        info.add_itxt(key, text)
        assert decode_image(encoded(picture(), "PNG", pnginfo=info)).size == (3, 2)


def test_the_result_carries_no_metadata() -> None:
    data = encoded(
        picture(), "JPEG", exif=exif_with(1), icc_profile=rgb_profile(SRGB_COLORANTS), comment=b"private"
    )
    image = decode_image(data)
    assert image.info == {}
    assert type(image) is Image.Image
    assert not image.getexif()


COLORS: list[tuple[int, int, int]] = [
    (120, 180, 90),
    (200, 60, 50),
    (30, 40, 200),
    (128, 128, 128),
    (255, 255, 255),
]


@pytest.mark.parametrize(
    ("colorants", "gamma"),
    [(DISPLAY_P3_COLORANTS, None), (ADOBE_RGB_COLORANTS, ADOBE_RGB_GAMMA)],
    ids=["Display P3", "Adobe RGB"],
)
@pytest.mark.parametrize("color", COLORS)
@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_other_rgb_spaces_become_srgb(
    format: str, color: tuple[int, int, int], colorants: tuple[tuple[float, ...], ...], gamma: float | None
) -> None:
    data = encoded(
        Image.new("RGB", (8, 8), color), format, icc_profile=rgb_profile(colorants, gamma), lossless=True
    )
    assert_close(pixel(decode_image(data)), as_srgb(color, colorants, gamma))


def test_a_jpeg_with_a_display_p3_profile_becomes_srgb() -> None:
    color = (200, 60, 50)
    data = encoded(Image.new("RGB", (16, 16), color), "JPEG", icc_profile=rgb_profile(DISPLAY_P3_COLORANTS))
    assert_close(pixel(decode_image(data)), as_srgb(color, DISPLAY_P3_COLORANTS, None), 4)


@pytest.mark.parametrize(
    "profile",
    [rgb_profile(SRGB_COLORANTS), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()],
    ids=["by hand", "of littlecms"],
)
def test_an_srgb_profile_leaves_every_pixel_as_it_is(profile: bytes) -> None:
    colors = Image.frombytes("RGB", (64, 64), random.Random(7).randbytes(64 * 64 * 3))
    assert decode_image(encoded(colors, "PNG", icc_profile=profile)).tobytes() == colors.tobytes()


def test_a_grey_profile_is_applied() -> None:
    data = encoded(Image.new("L", (4, 4), 128), "PNG", icc_profile=grey_profile(1.0))
    # Linear 128/255, encoded as sRGB.
    assert_close(pixel(decode_image(data)), (188, 188, 188))
    assert abs(srgb_to_linear(188 / 255) - 128 / 255) < 0.005
    with_alpha = encoded(Image.new("LA", (4, 4), (128, 255)), "PNG", icc_profile=grey_profile(1.0))
    assert decode_image(with_alpha).tobytes() == decode_image(data).tobytes()


@pytest.mark.parametrize(
    "profile",
    [
        b"no profile at all",
        rgb_profile(DISPLAY_P3_COLORANTS)[:200],
        cmyk_profile_with_red_cyan(),
        grey_profile(1.0),
    ],
    ids=["rubbish", "cut short", "for CMYK", "for grey"],
)
def test_a_profile_that_cannot_be_used_is_ignored(profile: bytes) -> None:
    assert decode_image(encoded(picture(), "PNG", icc_profile=profile)).tobytes() == picture().tobytes()


def test_cmyk_without_a_profile_is_its_complement() -> None:
    data = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100)
    assert_close(pixel(decode_image(data)), (255, 0, 0), 4)


def test_cmyk_with_a_profile_goes_through_it() -> None:
    data = encoded(
        Image.new("CMYK", (16, 16), (255, 0, 0, 0)),
        "JPEG",
        quality=100,
        icc_profile=cmyk_profile_with_red_cyan(),
    )
    assert_close(pixel(decode_image(data)), (255, 0, 0), 12)


def test_alpha_is_flattened_over_white() -> None:
    image = Image.new("RGBA", (3, 1))
    for x, alpha in enumerate((0, 128, 255)):
        image.putpixel((x, 0), (255, 0, 0, alpha))
    for format in ("PNG", "WEBP"):
        flat = decode_image(encoded(image, format, lossless=True, exact=True))
        assert_close(pixel(flat, 0), (255, 255, 255), 0)
        assert_close(pixel(flat, 1), (255, 127, 127), 1)
        assert_close(pixel(flat, 2), (255, 0, 0), 0)


def test_the_white_under_alpha_is_not_touched_by_a_profile() -> None:
    image = Image.new("RGBA", (1, 1), (0, 255, 0, 0))
    data = encoded(image, "PNG", icc_profile=rgb_profile(ADOBE_RGB_COLORANTS, ADOBE_RGB_GAMMA))
    assert pixel(decode_image(data)) == (255, 255, 255)


def test_grey_with_alpha_is_flattened() -> None:
    image = Image.new("LA", (2, 1))
    image.putpixel((0, 0), (0, 51))
    image.putpixel((1, 0), (90, 255))
    flat = decode_image(encoded(image, "PNG"))
    assert_close(pixel(flat, 0), (204, 204, 204), 1)
    assert pixel(flat, 1) == (90, 90, 90)


def test_palette_with_transparency_is_flattened() -> None:
    data = png(
        [bytes((0, 1, 2))],
        width_px=3,
        color_type=3,
        chunks=[
            png_chunk(b"PLTE", bytes((255, 0, 0, 0, 255, 0, 0, 0, 255))),
            png_chunk(b"tRNS", bytes((0, 255))),
        ],
    )
    flat = decode_image(data)
    assert [pixel(flat, x) for x in range(3)] == [(255, 255, 255), (0, 255, 0), (0, 0, 255)]


@pytest.mark.parametrize(
    ("bit_depth", "row", "key", "expected"),
    [
        (1, b"\x40", 1, [(0, 0, 0), (255, 255, 255)]),
        (2, b"\x60", 1, [(255, 255, 255), (170, 170, 170)]),
        (4, b"\x3c", 3, [(255, 255, 255), (204, 204, 204)]),
        (8, b"\x14\x15", 0x14, [(255, 255, 255), (21, 21, 21)]),
        (16, b"\x14\x14\x15\x00", 0x1414, [(255, 255, 255), (21, 21, 21)]),
    ],
)
def test_the_color_key_of_a_grey_png_is_transparent(
    bit_depth: int, row: bytes, key: int, expected: list[Color]
) -> None:
    data = png(
        [row],
        width_px=2,
        color_type=0,
        bit_depth=bit_depth,
        chunks=[png_chunk(b"tRNS", struct.pack(">H", key))],
    )
    assert [pixel(decode_image(data), x) for x in range(2)] == expected


def test_the_color_key_of_an_rgb_png_is_transparent() -> None:
    key = png_chunk(b"tRNS", struct.pack(">3H", 1, 2, 3))
    flat = decode_image(png([bytes((1, 2, 3, 1, 2, 4))], width_px=2, color_type=2, chunks=[key]))
    assert [pixel(flat, x) for x in range(2)] == [(255, 255, 255), (1, 2, 4)]


def test_sixteen_bit_grey_keeps_its_tones() -> None:
    data = png([struct.pack(">3H", 0, 0x8000, 0xFFFF)], width_px=3, color_type=0, bit_depth=16)
    assert [pixel(decode_image(data), x) for x in range(3)] == [(0, 0, 0), (128, 128, 128), (255, 255, 255)]


def test_sixteen_bit_color_and_alpha_keep_their_tones() -> None:
    rgb = png([struct.pack(">3H", 0x1234, 0x8000, 0xFFFF)], width_px=1, color_type=2, bit_depth=16)
    assert pixel(decode_image(rgb)) == (0x12, 0x80, 0xFF)
    rgba = png([struct.pack(">4H", 0, 0, 0, 0x3333)], width_px=1, color_type=6, bit_depth=16)
    assert_close(pixel(decode_image(rgba)), (204, 204, 204), 1)
    la = png([struct.pack(">2H", 0x4000, 0xFFFF)], width_px=1, color_type=4, bit_depth=16)
    assert pixel(decode_image(la)) == (64, 64, 64)


def test_one_bit_and_greyscale_become_rgb() -> None:
    one_bit = decode_image(png([b"\x80"], width_px=2, color_type=0, bit_depth=1))
    assert [pixel(one_bit, x) for x in range(2)] == [(255, 255, 255), (0, 0, 0)]
    grey = decode_image(encoded(Image.new("L", (16, 16), 77), "JPEG"))
    assert grey.mode == "RGB"
    assert_close(pixel(grey), (77, 77, 77))


def test_interlaced_png_is_read() -> None:
    # Adam7 of a 2x2 picture: pass 1 has (0,0), pass 6 has (1,0), pass 7 has the second row.
    passes = b"\0\x0a" + b"\0\x14" + b"\0\x1e\x28"
    header = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 1))
    data = header + png_chunk(b"IDAT", zlib.compress(passes)) + png_chunk(b"IEND", b"")
    image = decode_image(data)
    assert [pixel(image, x, y)[0] for y in range(2) for x in range(2)] == [10, 20, 30, 40]


def animation() -> dict[str, object]:
    return {
        "save_all": True,
        "append_images": [Image.new("RGB", (8, 8), "blue")] * 3,
        "duration": 50,
        "loop": 0,
    }


def test_only_the_first_frame_of_an_animation_is_taken() -> None:
    first = Image.new("RGB", (8, 8), "red")
    for format in ("PNG", "WEBP"):
        assert_close(pixel(decode_image(encoded(first, format, **animation()))), (255, 0, 0), 4)
    gif = decode_image(encoded(first, "GIF", **animation()), formats=UPLOAD_FORMATS)
    assert pixel(gif) == (255, 0, 0)


def test_a_transparent_gif_is_flattened() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    flat = decode_image(encoded(image, "GIF", transparency=0), formats=UPLOAD_FORMATS)
    assert [pixel(flat, x) for x in range(2)] == [(255, 255, 255), (0, 255, 0)]


def test_uploads_may_be_bmp_and_gif_and_seeds_may_not() -> None:
    assert SEED_FORMATS == ("PNG", "JPEG", "WEBP")
    for format in ("BMP", "GIF"):
        data = encoded(Image.new("RGB", (4, 4), "red"), format)
        assert pixel(decode_image(data, formats=UPLOAD_FORMATS)) == (255, 0, 0)
        with pytest.raises(ImageRejected, match=f"is a {format} file, which is not accepted here") as refused:
            decode_image(data)
        assert refused.value.reason == "format"


@pytest.mark.parametrize("format", ["TIFF", "PPM", "ICO", "TGA"])
def test_no_other_format_is_opened(format: str) -> None:
    with pytest.raises(ImageRejected, match="not an image in an accepted format"):
        decode_image(encoded(Image.new("RGB", (16, 16)), format), formats=UPLOAD_FORMATS)


def test_a_video_after_a_phone_photo_does_no_harm() -> None:
    photo = encoded(Image.new("RGB", (16, 16), "red"), "JPEG")
    moving = photo + b"\0\0\0\x18ftypmp42" + bytes(1000)
    assert decode_image(moving).tobytes() == decode_image(photo).tobytes()


def test_the_thumbnail_inside_exif_is_not_the_picture() -> None:
    thumbnail = encoded(Image.new("RGB", (8, 8), "blue"), "JPEG")
    photo = encoded(Image.new("RGB", (32, 32), "red"), "JPEG")
    segment = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + thumbnail
    data = photo[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + photo[2:]
    assert decode_image(data).size == (32, 32)
    with pytest.raises(ImageRejected) as refused:
        decode_image(data[:-30])
    assert refused.value.reason == "truncated"


def test_progressive_jpeg_is_read() -> None:
    image = picture().resize((64, 48))
    assert decode_image(encoded(image, "JPEG", progressive=True, quality=95)).size == (64, 48)


def test_lossy_and_lossless_webp_without_extended_header_are_read() -> None:
    for lossless in (False, True):
        data = encoded(picture().resize((33, 17)), "WEBP", lossless=lossless)
        assert data[12:16] != b"VP8X"
        assert decode_image(data).size == (33, 17)


def test_limits_can_be_set() -> None:
    data = encoded(Image.new("RGB", (100, 10)), "PNG")
    assert decode_image(data, limits=DecodeLimits(max_pixels=1000, max_side_px=100)).size == (100, 10)
    for limits, reason in (
        (DecodeLimits(max_pixels=999), "dimensions"),
        (DecodeLimits(max_side_px=99), "dimensions"),
        (DecodeLimits(max_bytes=len(data) - 1), "bytes"),
    ):
        with pytest.raises(ImageRejected) as refused:
            decode_image(data, limits=limits)
        assert refused.value.reason == reason


def test_many_threads_decode_at_once() -> None:
    data = encoded(picture(), "PNG", icc_profile=rgb_profile(DISPLAY_P3_COLORANTS), exif=exif_with(6))
    expected = decode_image(data).tobytes()
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.extend(decode_image(data).tobytes() for _ in range(20)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 160


def test_an_animated_webp_whose_first_frame_is_smaller_than_the_canvas_keeps_the_canvas() -> None:
    still = encoded(Image.new("RGB", (2, 2), "red"), "WEBP", lossless=True)
    frame = bytes(6) + (1).to_bytes(3, "little") * 2 + (50).to_bytes(3, "little") + b"\0" + still[12:]
    canvas = bytes((0x12, 0, 0, 0)) + (3).to_bytes(3, "little") * 2
    data = riff((b"VP8X", canvas), (b"ANIM", bytes(6)), (b"ANMF", frame))
    image = decode_image(data)
    assert image.size == (4, 4)
    assert pixel(image) == (255, 0, 0)
    assert pixel(image, 3, 3) == (255, 255, 255)
