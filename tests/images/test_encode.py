"""Results say how they were made, where the field's tools look for it."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from underpaint.images import (
    EXTENSIONS,
    MEDIA_TYPES,
    OutputFormat,
    decode_image,
    encode_image,
    read_parameters,
)
from underpaint.images.encode import parameters_text

FORMATS: tuple[OutputFormat, ...] = ("JPG", "PNG", "WEBP")
PARAMETERS: dict[str, object] = {
    "model": "underpaint:1@2",
    "positivePrompt": "a watercolor painting of a harbor, 港の夜明け",
    "negativePrompt": "blurry",
    "seed": 5120148993590679312,
    "strength": 0.7,
    "steps": 20,
    "scheduler": "Euler a",
    "CFGScale": 7.5,
    "width": 512,
    "height": 448,
    "version": "0.1.0",
    "lora": [{"model": "a:1@1", "weight": 0.5}],
}
TEXT = """a watercolor painting of a harbor, 港の夜明け
Negative prompt: blurry
Steps: 20, Sampler: Euler a, CFG scale: 7.5, Seed: 5120148993590679312, Size: 512x448, Model: "underpaint:1@2", \
Denoising strength: 0.7, Version: 0.1.0"""


def picture() -> Image.Image:
    return Image.merge(
        "RGB", [Image.linear_gradient("L").rotate(turn).resize((64, 48)) for turn in (0, 90, 180)]
    )


@pytest.mark.parametrize("format", FORMATS)
def test_parameters_come_back_as_they_were(format: OutputFormat) -> None:
    data = encode_image(picture(), format=format, parameters=PARAMETERS)
    assert read_parameters(data) == PARAMETERS


def test_the_text_form_is_the_one_that_tools_know() -> None:
    assert parameters_text(PARAMETERS) == TEXT
    assert parameters_text({"positivePrompt": "a cat", "steps": 4}) == "a cat\nSteps: 4"


def test_a_png_holds_text_and_json() -> None:
    with Image.open(io.BytesIO(encode_image(picture(), format="PNG", parameters=PARAMETERS))) as image:
        assert image.info["parameters"] == TEXT
        assert set(image.info) == {"parameters", "underpaint"}


@pytest.mark.parametrize("format", ["JPG", "WEBP"])
def test_the_other_formats_hold_text_and_prompt_in_exif(format: OutputFormat) -> None:
    with Image.open(io.BytesIO(encode_image(picture(), format=format, parameters=PARAMETERS))) as image:
        exif = image.getexif()
        comment = exif.get_ifd(0x8769)[0x9286]
        assert comment.startswith(b"UNICODE\0")
        assert comment[8:].decode("utf-16-be") == TEXT
        assert exif[0x010E].encode("latin-1").decode() == PARAMETERS["positivePrompt"]


@pytest.mark.parametrize("format", FORMATS)
def test_without_parameters_there_is_no_metadata(format: OutputFormat) -> None:
    data = encode_image(picture(), format=format)
    assert read_parameters(data) is None
    with Image.open(io.BytesIO(data)) as image:
        assert not image.getexif()
        assert "parameters" not in image.info


@pytest.mark.parametrize("format", FORMATS)
def test_the_file_is_of_its_format_and_shows_the_picture(format: OutputFormat) -> None:
    data = encode_image(picture(), format=format, parameters=PARAMETERS)
    with Image.open(io.BytesIO(data)) as image:
        assert image.get_format_mimetype() == MEDIA_TYPES[format]
    difference = ImageChops.difference(decode_image(data), picture())
    assert max(max(band.histogram()[24:]) for band in difference.split()) == 0
    if format == "PNG":
        assert difference.getbbox() is None


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_picture_gives_the_same_bytes(format: OutputFormat) -> None:
    first, second = (encode_image(picture(), format=format, parameters=PARAMETERS) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("format", ["JPG", "WEBP"])
def test_quality_trades_size(format: OutputFormat) -> None:
    noise = Image.effect_noise((64, 64), 80).convert("RGB")
    assert len(encode_image(noise, format=format, quality=20)) < len(
        encode_image(noise, format=format, quality=95)
    )


def test_saturated_edges_keep_their_color_at_the_default_quality() -> None:
    image = Image.new("RGB", (16, 16), "blue")
    image.paste((255, 0, 0), (0, 0, 7, 16))
    red, _, blue = decode_image(encode_image(image, format="JPG")).getpixel((6, 8))  # type: ignore[misc]
    assert red > 235
    assert blue < 20


def test_a_prompt_too_long_for_exif_keeps_the_json_and_then_nothing() -> None:
    long = {"positivePrompt": "long " * 6000}
    assert read_parameters(encode_image(picture(), format="JPG", parameters=long)) == long
    longer = {"positivePrompt": "long " * 20_000}
    assert read_parameters(encode_image(picture(), format="JPG", parameters=longer)) is None


def test_a_lone_surrogate_does_not_lose_the_picture() -> None:
    for format in FORMATS:
        data = encode_image(picture(), format=format, parameters={"positivePrompt": "broken \ud83d emoji"})
        assert decode_image(data).size == (64, 48)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="JPG, PNG, WEBP"):
        encode_image(picture(), format="GIF")  # type: ignore[arg-type]
    for quality in (0, 101):
        with pytest.raises(ValueError, match="1 to 100"):
            encode_image(picture(), format="JPG", quality=quality)
    with pytest.raises(ValueError, match="JSON"):
        encode_image(picture(), format="PNG", parameters={"model": object()})


def test_extensions_and_media_types_name_the_same_formats() -> None:
    assert EXTENSIONS == {"JPG": "jpg", "PNG": "png", "WEBP": "webp"}
    assert MEDIA_TYPES == {"JPG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


@given(
    st.binary(max_size=200),
    st.sampled_from([encode_image(picture(), format=f, parameters=PARAMETERS) for f in FORMATS]),
)
def test_reading_parameters_never_fails(tail: bytes, data: bytes) -> None:
    assert read_parameters(tail) is None
    cut = data[: len(data) // 2] + tail
    assert read_parameters(cut) in (None, PARAMETERS)
