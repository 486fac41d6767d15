"""Bringing a picture to the size a task asks for."""

import math
from typing import Literal

from PIL import Image, ImageFilter

FitMode = Literal["stretch", "cover", "contain"]

_LANCZOS = Image.Resampling.LANCZOS


def shrink_image(image: Image.Image, *, longest_px: int) -> Image.Image:
    """An RGB image in its own proportions whose longer side is at most `longest_px`; smaller ones are as they are."""
    if max(image.size) <= longest_px:
        return image
    shrunk = image.copy()
    shrunk.thumbnail((longest_px, longest_px), _LANCZOS)
    return shrunk


def fit_image(image: Image.Image, *, width_px: int, height_px: int, mode: FitMode = "stretch") -> Image.Image:
    """Resample an RGB image to exactly `width_px` x `height_px`; the original is left as it is, and is what comes back
    if it has that size.

    - "stretch" ignores the aspect ratio, as the API does by default.
    - "cover" keeps it and cuts off what does not fit, equally on both sides.
    - "contain" keeps it and continues the picture into the margins, see `_contain`.

    Lanczos with a window that widens with the reduction, so that large photos do not alias. It works on the
    encoded sRGB values, not on linear light: that is how the pictures that the models learned from were
    resized, and how the reference pipelines resize, and the seed image should look like those.

    Raises `ValueError` for a size below 1 or an unknown mode.
    """
    if width_px < 1 or height_px < 1:
        raise ValueError(f"an image cannot be fitted to {width_px}x{height_px} pixels")
    if mode not in ("stretch", "cover", "contain"):
        raise ValueError(f"unknown fit mode {mode!r}: it is one of stretch, cover, contain")
    target = (width_px, height_px)
    if image.size == target:
        return image
    if mode == "cover":
        return image.resize(target, _LANCZOS, box=_cover_box(image.size, target))
    if mode == "contain":
        return _contain(image, target)
    return image.resize(target, _LANCZOS)


def fit_mask(mask: Image.Image, *, width_px: int, height_px: int, mode: FitMode = "stretch") -> Image.Image:
    """Bring a mask to exactly `width_px` x `height_px`, as `fit_image` brings the picture that it belongs to.

    The result is of one channel. Bilinear, which has no overshoot: far from an edge, black stays exactly black. The
    margins of "contain" are no part of the picture, and white: they are painted.

    Raises `ValueError` for a size below 1 or an unknown mode.
    """
    if width_px < 1 or height_px < 1:
        raise ValueError(f"a mask cannot be fitted to {width_px}x{height_px} pixels")
    if mode not in ("stretch", "cover", "contain"):
        raise ValueError(f"unknown fit mode {mode!r}: it is one of stretch, cover, contain")
    grey, target = mask.convert("L"), (width_px, height_px)
    if grey.size == target:
        return grey.copy()
    if mode == "cover":
        return grey.resize(target, Image.Resampling.BILINEAR, box=_cover_box(grey.size, target))
    if mode == "stretch":
        return grey.resize(target, Image.Resampling.BILINEAR)
    inner = _inner_size(grey.size, target)
    canvas = Image.new("L", target, 255)
    scaled = grey.resize(inner, Image.Resampling.BILINEAR)
    canvas.paste(scaled, ((width_px - inner[0]) // 2, (height_px - inner[1]) // 2))
    return canvas


def _inner_size(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int]:
    """The largest size within `target` that has the aspect ratio of `size`."""
    scale = min(target[0] / size[0], target[1] / size[1])
    return min(target[0], max(1, round(size[0] * scale))), min(target[1], max(1, round(size[1] * scale)))


def _cover_box(size: tuple[int, int], target: tuple[int, int]) -> tuple[float, float, float, float]:
    """The largest centred part of `size` that has the aspect ratio of `target`."""
    width, height = size
    part_width = min(width, height * target[0] / target[1])
    part_height = min(height, width * target[1] / target[0])
    left, top = (width - part_width) / 2, (height - part_height) / 2
    return left, top, left + part_width, top + part_height


def _contain(image: Image.Image, target: tuple[int, int]) -> Image.Image:
    """Scale to fit inside and fill the margins with the picture's own mirror image, blurred.

    Image-to-image keeps what it is given: plain bars come back as bars, stretched edge pixels as streaks, and
    a sharp mirror image as a second subject. A blurred mirror image meets the edge without a step and holds
    nothing but the colours and the light of its surroundings, so at ordinary strengths the model paints a
    continuation.
    """
    inner = _inner_size(image.size, target)
    scaled = image.resize(inner, _LANCZOS)
    if inner == target:
        return scaled
    left, top = (target[0] - inner[0]) // 2, (target[1] - inner[1]) // 2
    canvas = Image.new("RGB", target)
    mirrored_x = scaled.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    mirrored_y = scaled.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    for column in range(-left // inner[0], math.ceil((target[0] - left) / inner[0])):
        canvas.paste(mirrored_x if column % 2 else scaled, (left + column * inner[0], top))
    for row in range(-top // inner[1], math.ceil((target[1] - top) / inner[1])):
        canvas.paste(mirrored_y if row % 2 else scaled, (left, top + row * inner[1]))
    canvas = canvas.filter(ImageFilter.GaussianBlur(max(target) / 24))
    canvas.paste(scaled, (left, top))
    return canvas
