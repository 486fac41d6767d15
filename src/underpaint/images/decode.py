"""The one way from untrusted bytes to pixels.

The order matters. The file's structure is walked and checked against every budget first (`containers`); only
then is a canvas allocated. Colours are converted before alpha is flattened, so that the white under a
transparent picture is sRGB white. Orientation comes last, and exactly once.
"""

import io
from collections.abc import Collection

from PIL import Image, ImageChops, ImageFile, UnidentifiedImageError

from underpaint.images.color import to_srgb
from underpaint.images.containers import ImageFormat, read_header
from underpaint.images.containers.header import ImageHeader
from underpaint.images.exif import orientation
from underpaint.images.limits import DecodeLimits, ImageRejected, check_dimensions, damaged, truncated

SEED_FORMATS: tuple[ImageFormat, ...] = ("PNG", "JPEG", "WEBP")
UPLOAD_FORMATS: tuple[ImageFormat, ...] = (*SEED_FORMATS, "BMP", "GIF")

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DEFAULT_LIMITS = DecodeLimits()


def decode_image(
    data: bytes,
    *,
    limits: DecodeLimits = _DEFAULT_LIMITS,
    formats: Collection[ImageFormat] = SEED_FORMATS,
) -> Image.Image:
    """Decode the first picture of a file as upright, opaque, 8-bit sRGB.

    `formats` are the formats accepted, recognised by content. The result has mode "RGB" and carries no
    metadata. No state is shared between calls: any number of threads may decode at once.

    Raises `ImageRejected`, and nothing else, for bytes that are not an acceptable picture. What a refusal
    costs is bounded by the size of the file, except for pictures whose compressed data is damaged in ways
    that only decoding shows: those cost what decoding a picture of their dimensions costs.
    """
    header = read_header(data, limits=limits, formats=formats)
    try:
        with _opened(header, limits) as opened:
            colors, alpha = _split_alpha(opened, header.color_key)
            colors = to_srgb(colors, header.icc_profile)
            image = _over_white(colors, alpha)
            image = (
                image.transpose(_UPRIGHT[turn]) if (turn := orientation(header.exif)) in _UPRIGHT else image
            )
            # A result that is still the opened file would hold on to its bytes.
            image = image.copy() if isinstance(image, ImageFile.ImageFile) else image
    except ImageRejected:
        raise
    except MemoryError as error:
        raise ImageRejected("dimensions", "The image needs more memory than there is.") from error
    except UnidentifiedImageError as error:
        raise damaged(header.format, "its header cannot be read") from error
    # Decoders meet hostile bytes with whatever exception comes first: OSError, SyntaxError, struct.error,
    # IndexError, KeyError, OverflowError. For the sender they all mean the same.
    except Exception as error:
        if "truncated" in str(error).lower():
            raise truncated(header.format) from error
        raise damaged(header.format, "its picture cannot be decoded") from error
    image.info = {}
    return image


def _opened(header: ImageHeader, limits: DecodeLimits) -> Image.Image:
    """The picture of a file, decoded."""
    if header.scanlines is not None:
        mode = header.scanlines.mode
        return Image.frombytes(
            mode, (header.width_px, header.height_px), header.scanlines.stream, "zip", mode
        )
    opened = Image.open(io.BytesIO(header.pixel_file), formats=(header.format,))
    check_dimensions(*opened.size, limits)
    opened.load()
    return opened


def _split_alpha(
    image: Image.Image, color_key: tuple[int, ...] | None
) -> tuple[Image.Image, Image.Image | None]:
    """Separate what is left to see ("L", "RGB" or "CMYK") from how much of it is ("L", or None for all)."""
    if image.mode == "I;16":
        # From 16 bits to the high byte, as 16-bit colour is decoded.
        image = image.point(lambda value: value * (1 / 256)).convert("L")
    elif image.mode == "1":
        image = image.convert("L")
    if color_key is not None and len(color_key) == len(image.getbands()):
        return image, _not_of_color(image, color_key)
    if image.mode == "LA":
        # Kept grey, so that a grey profile still applies.
        return image.getchannel("L"), image.getchannel("A")
    if image.has_transparency_data:
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        return image.convert("RGB"), image.getchannel("A")
    return (image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")), None


def _not_of_color(image: Image.Image, color_key: tuple[int, ...]) -> Image.Image:
    """An opaque mask with holes where a pixel is exactly of the given colour."""
    matches: Image.Image | None = None
    for band, key in zip(image.split(), color_key, strict=True):
        match = band.point([255 if value == key else 0 for value in range(256)])
        matches = match if matches is None else ImageChops.darker(matches, match)
    assert matches is not None
    return ImageChops.invert(matches)


def _over_white(colors: Image.Image, alpha: Image.Image | None) -> Image.Image:
    if alpha is None or alpha.getextrema() == (255, 255):
        return colors
    flattened = Image.new("RGB", colors.size, "white")
    flattened.paste(colors, mask=alpha)
    return flattened
