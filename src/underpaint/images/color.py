"""From whatever colour space a file declares to sRGB."""

import functools
import io

from PIL import Image, ImageChops, ImageCms

_PROFILE_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
# A profile whose effect nowhere exceeds one step in 255 is sRGB by another name, and converting would only
# add rounding noise.
_SAME_AS_SRGB = 1


def to_srgb(image: Image.Image, icc_profile: bytes | None) -> Image.Image:
    """Convert an "L", "RGB" or "CMYK" image to RGB in the sRGB space (IEC 61966-2-1).

    With a profile: relative colorimetric with black point compensation, so that white stays white. Without
    one, or with one that is broken or belongs to another kind of image, the numbers are taken as sRGB
    already, which is what browsers do; CMYK is then the plain complement.
    """
    if icc_profile:
        converted = _convert(image, icc_profile)
        if converted is not None:
            return converted
    return image if image.mode == "RGB" else image.convert("RGB")


def _convert(image: Image.Image, icc_profile: bytes) -> Image.Image | None:
    """The image in sRGB, or None if the profile cannot be used on it."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        space = profile.profile.xcolor_space.strip()
        if image.mode == "L" and space == "RGB":
            image = image.convert("RGB")
        if space != _PROFILE_SPACES[image.mode]:
            return None
        transform = ImageCms.buildTransform(
            profile,
            ImageCms.createProfile("sRGB"),
            image.mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if image.mode != "CMYK" and _is_srgb(transform, image.mode):
            return None
        return transform.apply(image)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return None


def _is_srgb(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    probe = _probe(mode)
    difference = ImageChops.difference(transform.apply(probe), probe.convert("RGB"))
    # Greys of a channel above the threshold: none, if no colour moves further.
    return not any(any(band.histogram()[_SAME_AS_SRGB + 1 :]) for band in difference.split())


@functools.cache
def _probe(mode: str) -> Image.Image:
    """Every grey, or a 17 x 17 x 17 lattice of colours."""
    if mode == "L":
        return Image.frombytes("L", (256, 1), bytes(range(256)))
    steps = [min(16 * step, 255) for step in range(17)]
    lattice = bytes(value for r in steps for g in steps for b in steps for value in (r, g, b))
    return Image.frombytes("RGB", (17 * 17, 17), lattice)
