"""What a picture that came back must be."""

import base64
import io
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CONTENT_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
EXTENSIONS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}

# Mean absolute difference of the channels, of 255. Encoding a photo once more as JPG changes it by about 2.
SMALLEST_CHANGE = 4.0
# Correlation of the light and dark of two pictures on a 16 x 16 grid. Unrelated pictures stay near 0.
SMALLEST_LIKENESS = 0.5


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """The reply to a GET of a result's address, made without a key."""

    content: bytes
    content_type: str


def fetch(url: str) -> Fetched:
    """GET `url` as a browser would that knows no key."""
    with urllib.request.urlopen(url, timeout=30) as reply:
        return Fetched(content=reply.read(), content_type=reply.headers["Content-Type"])


def picture_of(result: dict[str, Any]) -> bytes:
    """Return the encoded picture of a result item, from whichever field holds it."""
    if data := result.get("imageBase64Data"):
        return base64.b64decode(data, validate=True)
    url: str = result["imageURL"]
    fetched = fetch(url)
    format_name = decode(fetched.content).format
    assert format_name is not None
    assert fetched.content_type == CONTENT_TYPES[format_name]
    assert url.endswith(EXTENSIONS[format_name])
    assert result["imageUUID"] in url
    return fetched.content


def decode(content: bytes) -> Image.Image:
    """Decode every pixel of `content`."""
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def change_between(first: Image.Image, second: Image.Image) -> float:
    """Return the mean absolute difference of two pictures of one size, 0 to 255."""
    pixels = [np.asarray(image.convert("RGB"), dtype=np.float64) for image in (first, second)]
    return float(np.abs(pixels[0] - pixels[1]).mean())


def likeness_between(first: Image.Image, second: Image.Image) -> float:
    """Return how well the light and dark areas of two pictures agree: -1 to 1."""
    grids = [
        np.asarray(image.convert("L").resize((16, 16), Image.Resampling.BOX)).ravel()
        for image in (first, second)
    ]
    return float(np.corrcoef(grids)[0, 1])


def assert_made_from(
    photo: Path, content: bytes, *, size: tuple[int, int], format_name: str = "JPEG"
) -> None:
    """Fail unless `content` is a picture of `size` that was made from `photo`, and is not `photo` itself."""
    picture = decode(content)
    assert picture.format == format_name
    assert picture.size == size
    with Image.open(photo) as original:
        fitted = original.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    assert change_between(picture, fitted) > SMALLEST_CHANGE
    assert likeness_between(picture, fitted) > SMALLEST_LIKENESS
