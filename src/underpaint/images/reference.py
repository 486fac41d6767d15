"""How a task names an image: UUID, data URI, bare base64 or URL.

Every step is linear in the length of the text: a request may carry tens of megabytes of anything.
"""

import re
from dataclasses import dataclass

import pybase64

_ACCEPTED = (
    "An image is given as the UUID of an uploaded or generated image, as a data URI "
    "(data:image/png;base64,...), as base64, or as an http or https URL."
)
IMAGE_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""A UUID of any version, in lower case with hyphens, as stored images are named."""
_BASE64_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_URL_SAFE_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_WHITESPACE = b" \t\r\n\f\v"
# A media type with its parameters is short; a comma further away belongs to something else.
_MAX_DATA_URI_HEAD = 1024
_MAX_URL = 8192
# No real picture is smaller, and a mistyped UUID, which is base64 as well, is: 39 characters make 29 bytes.
_MIN_IMAGE_BYTES = 30


class InvalidImageReference(ValueError):
    """The text names no image; the message says what would, and can be shown to the client."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem} {_ACCEPTED}")


@dataclass(frozen=True, kw_only=True)
class StoredImage:
    """An image the server already has. `uuid` is in lower case with hyphens."""

    uuid: str


@dataclass(frozen=True, kw_only=True)
class InlineImage:
    """An image within the request. `data` is the file, not yet looked at."""

    data: bytes


@dataclass(frozen=True, kw_only=True)
class RemoteImage:
    """An image to be fetched. `url` begins with http:// or https:// and is otherwise not yet looked at."""

    url: str


ImageReference = StoredImage | InlineImage | RemoteImage


def parse_image_reference(text: str) -> ImageReference:
    """Tell the four forms apart; base64 is decoded, the others are only recognised.

    Base64 may use the standard or the URL-safe alphabet, with or without padding, broken into lines, and
    within a data URI percent-encoded. A UUID of any version is accepted.

    Raises `InvalidImageReference`.
    """
    text = text.strip()
    if not text:
        raise InvalidImageReference("The image is empty.")
    if len(text) == 36 and IMAGE_UUID.fullmatch(text.lower()):
        return StoredImage(uuid=text.lower())
    head = text[:8].lower()
    if head.startswith("data:"):
        return InlineImage(data=_decode_data_uri(text))
    if head.startswith(("http://", "https://")):
        return RemoteImage(url=_check_url(text))
    if "://" in text[:32]:
        raise InvalidImageReference("The image is a URL of a kind that is not fetched.")
    return InlineImage(data=_decode_base64(text))


def _decode_data_uri(text: str) -> bytes:
    comma = text.find(",", 0, _MAX_DATA_URI_HEAD)
    if comma < 0:
        raise InvalidImageReference("The data URI has no comma between its media type and its data.")
    _media_type, *attributes = text[len("data:") : comma].split(";")
    if not any(attribute.strip().lower() == "base64" for attribute in attributes):
        raise InvalidImageReference("The data URI is not in base64.")
    payload = text[comma + 1 :]
    if "%" in payload:
        # Only what base64 can hold: full percent-decoding would build millions of small strings.
        for code, character in (("2B", "+"), ("2F", "/"), ("3D", "="), ("0A", ""), ("0D", ""), ("20", "")):
            payload = payload.replace(f"%{code}", character).replace(f"%{code.lower()}", character)
    return _decode_base64(payload)


def _decode_base64(text: str) -> bytes:
    try:
        # As nearly all of it is: the standard alphabet, padded, in one line.
        data = pybase64.b64decode(text, validate=True)
    except ValueError:
        data = _decode_lenient_base64(text)
    if len(data) < _MIN_IMAGE_BYTES:
        raise InvalidImageReference(f"The image has only {len(data)} bytes, too few for any picture.")
    return data


def _decode_lenient_base64(text: str) -> bytes:
    try:
        encoded = text.encode("ascii").translate(_URL_SAFE_TO_STANDARD, _WHITESPACE)
    except UnicodeEncodeError:
        raise InvalidImageReference("The image is not valid base64.") from None
    digits = encoded.rstrip(b"=")
    padding = len(encoded) - len(digits)
    missing = -len(digits) % 4
    if (
        missing == 3
        or padding > 2
        or (padding and padding != missing)
        or digits.translate(None, _BASE64_ALPHABET)
    ):
        raise InvalidImageReference("The image is not valid base64.")
    return pybase64.b64decode(digits + b"=" * missing)


def _check_url(text: str) -> str:
    if len(text) > _MAX_URL:
        raise InvalidImageReference(f"The image's URL is longer than {_MAX_URL} characters.")
    if any(character.isspace() or not character.isprintable() for character in text):
        raise InvalidImageReference("The image's URL has spaces or control characters in it.")
    return text
