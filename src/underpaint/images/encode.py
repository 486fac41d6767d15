"""From pixels to a file that says how it was made.

Where the parameters go, and who reads them there:

- PNG: iTXt `parameters`, the text form that Stable Diffusion web UIs began and most tools read, and iTXt
  `underpaint`, the same as JSON.
- WEBP and JPG: Exif UserComment holds that text form (where the same tools look for it), Exif MakerNote the
  JSON, and ImageDescription the prompt, which file managers and photo libraries show.
"""

import io
import json
import zlib
from collections.abc import Mapping
from typing import Literal

from PIL import Image, PngImagePlugin

from underpaint.images import exif as exif_tags
from underpaint.images.containers import png, read_header, sniff_format
from underpaint.images.limits import DecodeLimits, ImageRejected

OutputFormat = Literal["JPG", "PNG", "WEBP"]

MEDIA_TYPES: dict[OutputFormat, str] = {"JPG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
EXTENSIONS: dict[OutputFormat, str] = {"JPG": "jpg", "PNG": "png", "WEBP": "webp"}

_TEXT_KEY = "parameters"
_JSON_KEY = "underpaint"
_MAKER_NOTE_HEAD = b"Underpaint\0"
_IMAGE_DESCRIPTION, _SOFTWARE, _USER_COMMENT = 0x010E, 0x0131, 0x9286
# An Exif segment of a JPEG has at most 65,533 bytes, of which six are its name.
_MAX_EXIF_BYTES = 65_527
_MAX_JSON_BYTES = 1024 * 1024

# The text form's names for the parameters it knows, in the order in which tools write them.
_TEXT_NAMES = (
    ("steps", "Steps"),
    ("scheduler", "Sampler"),
    ("CFGScale", "CFG scale"),
    ("seed", "Seed"),
    ("size", "Size"),
    ("model", "Model"),
    ("strength", "Denoising strength"),
    ("version", "Version"),
)


def encode_image(
    image: Image.Image,
    *,
    format: OutputFormat,
    quality: int = 95,
    parameters: Mapping[str, object] | None = None,
) -> bytes:
    """Encode an RGB image; the same arguments always give the same bytes.

    `quality`, 1 to 100, is for JPG and WEBP; PNG is lossless. `parameters` says how the picture was made, in
    the task's own words (`model`, `positivePrompt`, `negativePrompt`, `seed`, `strength`, `steps`,
    `scheduler`, `CFGScale`, `width`, `height`, `version`; others are kept, too); its values must be of JSON's
    types. None writes no metadata at all.

    Raises `ValueError` for an unknown format, a quality out of range or parameters that JSON cannot hold.
    """
    if format not in EXTENSIONS:
        raise ValueError(f"unknown output format {format!r}: it is one of {', '.join(EXTENSIONS)}")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality {quality} is out of range: it is 1 to 100")
    image = image if image.mode == "RGB" else image.convert("RGB")
    buffer = io.BytesIO()
    if format == "PNG":
        image.save(buffer, "PNG", pnginfo=_png_text(parameters), compress_level=1, compress_type=zlib.Z_RLE)
    elif format == "WEBP":
        image.save(buffer, "WEBP", quality=quality, exif=_exif_block(parameters))
    else:
        # Chroma subsampling saves little at high quality and bleeds saturated edges, which the next pass of a
        # multi-pass workflow would amplify.
        subsampling = "4:4:4" if quality >= 90 else "4:2:0"
        image.save(buffer, "JPEG", quality=quality, subsampling=subsampling, exif=_exif_block(parameters))
    return buffer.getvalue()


def parameters_text(parameters: Mapping[str, object]) -> str:
    """The parameters as people and other tools read them: prompt, negative prompt, one line of settings."""
    lines = [str(parameters.get("positivePrompt") or "")]
    if parameters.get("negativePrompt"):
        lines.append(f"Negative prompt: {parameters['negativePrompt']}")
    values = dict(parameters)
    if "width" in values and "height" in values:
        values["size"] = f"{values['width']}x{values['height']}"
    settings = [f"{name}: {_quoted(values[key])}" for key, name in _TEXT_NAMES if values.get(key) is not None]
    return _encodable("\n".join([*lines, ", ".join(settings)]))


def read_parameters(data: bytes) -> dict[str, object] | None:
    """The parameters that `encode_image` wrote into a PNG, JPG or WEBP file; None if there are none.

    Safe on untrusted bytes: whatever is broken counts as absent. What it returns is as trustworthy as its
    sender.
    """
    try:
        found = _png_json(data) if sniff_format(data) == "PNG" else _maker_note_json(data)
        parameters = json.loads(found) if found is not None else None
    except (ImageRejected, ValueError, RecursionError):
        return None
    return parameters if isinstance(parameters, dict) else None


def _quoted(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ',:\n"') else text


def _encodable(text: str) -> str:
    """A prompt that came as JSON may hold half of a surrogate pair, which no encoding can write."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _json(parameters: Mapping[str, object]) -> str:
    try:
        text = json.dumps(dict(parameters), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except TypeError as error:
        raise ValueError(f"the parameters cannot be written as JSON: {error}") from error
    return _encodable(text)


def _png_text(parameters: Mapping[str, object] | None) -> PngImagePlugin.PngInfo | None:
    if parameters is None:
        return None
    info = PngImagePlugin.PngInfo()
    info.add_itxt(_TEXT_KEY, parameters_text(parameters))
    info.add_itxt(_JSON_KEY, _json(parameters))
    return info


def _exif_block(parameters: Mapping[str, object] | None) -> bytes:
    """The Exif block, with the text left out where it would not fit, then the JSON; empty for no metadata."""
    if parameters is None:
        return b""
    note = _MAKER_NOTE_HEAD + _json(parameters).encode()
    comment = b"UNICODE\0" + parameters_text(parameters).encode("utf-16-be")
    for described in (True, False):
        block = Image.Exif()
        block.endian = ">"
        block[_SOFTWARE] = "Underpaint"
        sub_ifd = block.get_ifd(exif_tags.EXIF_IFD)
        sub_ifd[exif_tags.MAKER_NOTE] = note
        if described:
            # The tag is declared ASCII; UTF-8 is what viewers expect there nowadays, and Pillow would write "?".
            block[_IMAGE_DESCRIPTION] = str(parameters.get("positivePrompt") or "").encode("utf-8", "replace")
            sub_ifd[_USER_COMMENT] = comment
        written = block.tobytes()
        if len(written) <= _MAX_EXIF_BYTES:
            return written
    return b""


def _png_json(data: bytes) -> bytes | None:
    # Keyword, null, not compressed, method, no language, no translated keyword: as `encode_image` writes it.
    head = _JSON_KEY.encode() + b"\0\0\0\0\0"
    for kind, payload, _ in png.chunks(data):
        if kind == b"iTXt" and payload[: len(head)] == head and len(payload) <= _MAX_JSON_BYTES:
            return bytes(payload[len(head) :])
    return None


def _maker_note_json(data: bytes) -> bytes | None:
    header = read_header(data, limits=DecodeLimits(), formats=("JPEG", "WEBP"))
    note = exif_tags.read_tag(header.exif, exif_tags.MAKER_NOTE, sub_ifd=exif_tags.EXIF_IFD)
    if note is None or not note.startswith(_MAKER_NOTE_HEAD):
        return None
    return note.removeprefix(_MAKER_NOTE_HEAD)
