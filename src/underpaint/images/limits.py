"""What an image from outside may cost, and how one that costs more is refused."""

from dataclasses import dataclass
from typing import Literal

RejectionReason = Literal[
    "empty",  # no bytes at all
    "bytes",  # the file is larger than the byte budget
    "format",  # not one of the accepted formats
    "dimensions",  # the header declares more pixels, or a longer side, than the budget
    "frames",  # an animation, or a progressive file, with too many parts
    "metadata",  # text or colour profile larger than the budget
    "truncated",  # the file ends before its picture does
    "trailing",  # another file follows the picture
    "damaged",  # the format's own rules are broken
]


@dataclass(frozen=True, kw_only=True)
class DecodeLimits:
    """Budgets checked from the header, before a single pixel is decoded.

    `max_bytes` bounds the file, `max_pixels` and `max_side_px` the declared canvas, `max_frames` the frames
    of an animation (of which only the first is ever decoded), `max_text_bytes` all textual metadata after
    decompression, `max_profile_bytes` the ICC profile after decompression.

    `max_unproven_bytes` bounds what a GIF or WebP file may cost before its decoder can tell that it is damaged: the
    file and, for each pixel, one byte (GIF), four (WebP) or eight (WebP without loss or with transparency). PNG and
    JPEG files are known to be whole before they cost anything, and need no such bound.

    Above 178,956,970 pixels Pillow's own limit applies as well, whatever `max_pixels` says.
    """

    max_bytes: int = 32 * 1024 * 1024
    max_pixels: int = 50_000_000
    max_unproven_bytes: int = 60_000_000
    max_side_px: int = 16_384
    max_frames: int = 10_000
    max_text_bytes: int = 8 * 1024 * 1024
    max_profile_bytes: int = 4 * 1024 * 1024


class ImageRejected(ValueError):
    """The bytes are not a picture that may be used; the message can be shown to the client that sent them.

    `reason` is one word for programs, see `RejectionReason`.
    """

    def __init__(self, reason: RejectionReason, message: str) -> None:
        super().__init__(message)
        self.reason: RejectionReason = reason


def check_dimensions(width_px: int, height_px: int, limits: DecodeLimits) -> None:
    """Refuse an empty or an over-large canvas. Raises `ImageRejected`."""
    if width_px <= 0 or height_px <= 0:
        raise ImageRejected("damaged", f"The image has no pixels: its header says {width_px}x{height_px}.")
    if max(width_px, height_px) > limits.max_side_px:
        raise ImageRejected(
            "dimensions",
            f"The image is {width_px}x{height_px} pixels; its sides may have at most {limits.max_side_px}.",
        )
    if width_px * height_px > limits.max_pixels:
        raise ImageRejected(
            "dimensions",
            f"The image is {width_px}x{height_px}, {width_px * height_px / 1e6:.1f} megapixels; "
            f"at most {limits.max_pixels / 1e6:g} are accepted.",
        )


def check_unproven(format_name: str, size_bytes: int, limits: DecodeLimits) -> None:
    """Refuse a file that would cost too much before it is known to be whole. Raises `ImageRejected`."""
    if size_bytes > limits.max_unproven_bytes:
        raise ImageRejected(
            "dimensions",
            f"The image is too large for a {format_name} file, whose damage would show only when it is decoded. "
            "Send it as JPEG or PNG, or smaller.",
        )


def check_profile_size(size_bytes: int, limits: DecodeLimits) -> None:
    """Refuse an over-large ICC profile. Raises `ImageRejected`."""
    if size_bytes > limits.max_profile_bytes:
        raise ImageRejected(
            "metadata",
            f"The image's color profile is larger than the {limits.max_profile_bytes} bytes accepted.",
        )


def truncated(format_name: str) -> ImageRejected:
    """The error for a file that ends too early."""
    return ImageRejected(
        "truncated", f"The {format_name} file is truncated: it ends before its picture does."
    )


def damaged(format_name: str, detail: str) -> ImageRejected:
    """The error for a file that breaks the rules of its format."""
    return ImageRejected("damaged", f"The {format_name} file is damaged: {detail}.")


def check_nothing_follows(data: bytes, end: int, format_name: str) -> None:
    """Refuse a file that goes on after its own end, padding with zeros apart. Raises `ImageRejected`."""
    following = len(data) - end
    if following > 0 and data.count(b"\0", end) != following:
        raise ImageRejected(
            "trailing",
            f"The {format_name} file is followed by {following} bytes that are not part of the picture.",
        )
