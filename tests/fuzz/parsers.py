"""The parsers that meet untrusted bytes, each as a function that may refuse its input and may do nothing else.

An input is bytes. Seeds are inputs near to what is right; mutations of them get further than anything made up.
"""

import base64
import io
import json
import struct
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st
from PIL import Image

from tests.images.files import encoded, png_chunk, riff, vp8x
from underpaint.catalog import ModelRefused
from underpaint.catalog.air import short_air
from underpaint.catalog.errors import UnknownModel
from underpaint.catalog.safetensors_header import read_header
from underpaint.images import (
    UPLOAD_FORMATS,
    DecodeLimits,
    ImageRejected,
    InlineImage,
    InvalidImageReference,
    decode_image,
    parse_image_reference,
)
from underpaint.wire import Air

SMALL = DecodeLimits(max_pixels=1 << 18, max_bytes=1 << 20)
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, kw_only=True)
class Parser:
    """One target.

    Attributes:
        parse: raises only when something is wrong with the parser.
        seeds: inputs to begin from.
    """

    parse: Callable[[bytes], None]
    seeds: Sequence[bytes]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass" if data.isascii() else "replace")


def parse_data_uri(data: bytes) -> None:
    """What begins as a data URI is the bytes of a picture, or refused."""
    try:
        reference = parse_image_reference("data:" + _text(data))
    except InvalidImageReference as refusal:
        _check_message(refusal)
        return
    assert isinstance(reference, InlineImage)
    assert len(reference.data) <= len(data)


def parse_base64(data: bytes) -> None:
    """Whatever is accepted as base64 is what the standard library reads in it; written again, it is read the same."""
    text = _text(data)
    try:
        reference = parse_image_reference(text)
    except InvalidImageReference as refusal:
        _check_message(refusal)
        return
    if isinstance(reference, InlineImage) and not text.strip().lower().startswith("data:"):
        digits = "".join(text.split()).rstrip("=").translate(str.maketrans("-_", "+/"))
        assert reference.data == base64.b64decode(digits + "=" * (-len(digits) % 4))
        again = parse_image_reference(base64.b64encode(reference.data).decode())
        assert again == reference


def parse_air(data: bytes) -> None:
    """What is accepted as an identifier survives being written and read, and names no path."""
    text = _text(data)
    try:
        air = Air.parse(text)
    except ValueError:
        try:
            short_air(text)
        except UnknownModel:
            return
        # It forgives what surrounds an identifier.
        assert text != text.strip()
        return
    assert Air.parse(str(air)) == air
    assert not set(str(air)) & set("/\\ \0\n")


def parse_safetensors(data: bytes) -> None:
    """What is accepted as a model file describes exactly the bytes that it has."""
    with tempfile.NamedTemporaryFile(dir=_fast_folder()) as file:
        file.write(data)
        file.flush()
        try:
            header = read_header(Path(file.name))
        except ModelRefused:
            return
    assert all(size >= 0 for spec in header.tensors.values() for size in spec.shape)
    assert int.from_bytes(data[:8], "little") + 8 <= len(data)


def parse_image(data: bytes) -> None:
    """What is accepted is a picture within its budget. The first byte says whether a PNG's checksums are made right."""
    if data[:1] > b"\x7f":
        data = with_checksums(data[1:])
    else:
        data = data[1:]
    try:
        image = decode_image(data, limits=SMALL, formats=UPLOAD_FORMATS)
    except ImageRejected as refusal:
        _check_message(refusal)
        return
    assert image.mode == "RGB"
    assert 0 < image.width * image.height <= SMALL.max_pixels


def with_checksums(data: bytes) -> bytes:
    """Repair the checksums of a PNG, so that changes get past them."""
    if not data.startswith(PNG_SIGNATURE):
        return data
    repaired, position = [PNG_SIGNATURE], len(PNG_SIGNATURE)
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4])
        repaired.append(
            png_chunk(data[position + 4 : position + 8], data[position + 8 : position + 8 + length])
        )
        position += 12 + length
    return b"".join(repaired)


def _check_message(refusal: Exception) -> None:
    """It is a sentence, of a length that a log can bear."""
    message = str(refusal)
    assert message.endswith("."), message
    assert len(message) < 2000, len(message)


def _fast_folder() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _picture(mode: str = "RGB") -> Image.Image:
    return Image.radial_gradient("L").resize((12, 12)).convert(mode)


def _image_seeds() -> list[bytes]:
    exif = b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"
    lossless = encoded(_picture(), "WEBP", lossless=True)
    animated = io.BytesIO()
    _picture("P").save(animated, "GIF", save_all=True, append_images=[_picture("P").rotate(90)])
    files = [
        *(encoded(_picture(mode), "PNG") for mode in ("RGB", "L", "LA", "RGBA", "1", "I;16", "P")),
        encoded(_picture("P"), "PNG", transparency=3),
        *(encoded(_picture(mode), "JPEG") for mode in ("RGB", "L", "CMYK")),
        encoded(_picture(), "JPEG", progressive=True, exif=exif),
        encoded(_picture(), "WEBP"),
        encoded(_picture("RGBA"), "WEBP"),
        lossless,
        riff(vp8x(12, 12), (b"VP8L", lossless[20:])),
        encoded(_picture(), "GIF"),
        animated.getvalue(),
        *(encoded(_picture(mode), "BMP") for mode in ("RGB", "P", "1")),
    ]
    return [flag + data for data in files for flag in (b"\0", b"\xff")]


def _safetensors(header: object, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


_TENSOR = {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}
_PNG_BASE64 = base64.b64encode(encoded(_picture(), "PNG"))

PARSERS: dict[str, Parser] = {
    "data-uri": Parser(
        parse=parse_data_uri,
        seeds=[
            b"image/png;base64," + _PNG_BASE64,
            b"image/png;charset=utf-8;base64," + _PNG_BASE64.replace(b"+", b"%2B").replace(b"/", b"%2f"),
            b";base64," + _PNG_BASE64.rstrip(b"="),
            b"image/svg+xml,<svg/>",
            b",",
        ],
    ),
    "base64": Parser(
        parse=parse_base64,
        seeds=[
            _PNG_BASE64,
            _PNG_BASE64.translate(bytes.maketrans(b"+/", b"-_")),
            base64.encodebytes(bytes(range(200))),
            b"0b9f8f6e-59ab-4d55-9ac3-3a1f57cb3a55",
            b"https://example.com/a.png",
        ],
    ),
    "air": Parser(
        parse=parse_air,
        seeds=[
            b"runware:101@1",
            b"civitai:101055@128078",
            b"urn:air:sdxl:checkpoint:civitai:101055@128078",
            b"air:flux1:lora:runware:z-image@turbo",
            b" bfl:flux@3-image ",
        ],
    ),
    "safetensors": Parser(
        parse=parse_safetensors,
        seeds=[
            _safetensors({"a": _TENSOR}, b"1234"),
            _safetensors({"__metadata__": {"format": "pt"}, "a": _TENSOR}, b"1234"),
            _safetensors(
                {"a": _TENSOR, "b": {"dtype": "F32", "shape": [1, 2], "data_offsets": [4, 12]}}, bytes(12)
            ),
            _safetensors({}, b""),
            b"PK\x03\x04" + bytes(40),
        ],
    ),
    "image": Parser(parse=parse_image, seeds=_image_seeds()),
}


def inputs(parser: Parser) -> st.SearchStrategy[bytes]:
    """Seeds with a few places changed, cut out, doubled, or exchanged between each other; and plain bytes."""
    place = st.floats(0, 1, exclude_max=True)
    change = st.one_of(
        st.tuples(st.just("set"), place, st.binary(min_size=1, max_size=4)),
        st.tuples(st.just("insert"), place, st.binary(min_size=1, max_size=8)),
        st.tuples(st.just("cut"), place, st.integers(1, 64)),
        st.tuples(st.just("double"), place, st.integers(1, 64)),
        st.tuples(st.just("graft"), place, st.sampled_from(parser.seeds)),
    )
    mutated = st.builds(_mutated, st.sampled_from(parser.seeds), st.lists(change, max_size=6))
    return mutated | mutated | mutated | st.binary(max_size=300)


def _mutated(seed: bytes, changes: Sequence[tuple[str, float, bytes | int]]) -> bytes:
    data = seed
    for kind, place, value in changes:
        at = int(place * len(data))
        match kind, value:
            case "set", bytes(new):
                data = data[:at] + new + data[at + len(new) :]
            case "insert", bytes(new):
                data = data[:at] + new + data[at:]
            case "graft", bytes(other):
                data = data[:at] + other[int(place * len(other)) :]
            case "cut", int(length):
                data = data[:at] + data[at + length :]
            case "double", int(length):
                data = data[: at + length] + data[at:]
    return data
