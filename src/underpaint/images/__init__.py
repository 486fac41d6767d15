"""Everything that touches untrusted pixels, and the addresses they come from.

Nothing here knows of tasks, models or servers.
"""

from underpaint.images.addresses import refusal_reason
from underpaint.images.contact_sheet import LabelledImage, contact_sheet
from underpaint.images.containers import ImageFormat
from underpaint.images.decode import SEED_FORMATS, UPLOAD_FORMATS, decode_image
from underpaint.images.encode import EXTENSIONS, MEDIA_TYPES, OutputFormat, encode_image, read_parameters
from underpaint.images.extend import Margins, extend_image, margin_mask
from underpaint.images.fetch import Fetcher, FetchFailed, FetchPolicy, FetchRefused
from underpaint.images.fit import FitMode, fit_image, fit_mask, shrink_image
from underpaint.images.limits import DecodeLimits, ImageRejected
from underpaint.images.reference import (
    IMAGE_UUID,
    ImageReference,
    InlineImage,
    InvalidImageReference,
    RemoteImage,
    StoredImage,
    parse_image_reference,
)
from underpaint.images.store import ImageNotFound, ImageStore

__all__ = [
    "EXTENSIONS",
    "IMAGE_UUID",
    "MEDIA_TYPES",
    "SEED_FORMATS",
    "UPLOAD_FORMATS",
    "DecodeLimits",
    "FetchFailed",
    "FetchPolicy",
    "FetchRefused",
    "Fetcher",
    "FitMode",
    "ImageFormat",
    "ImageNotFound",
    "ImageReference",
    "ImageRejected",
    "ImageStore",
    "InlineImage",
    "InvalidImageReference",
    "LabelledImage",
    "Margins",
    "OutputFormat",
    "RemoteImage",
    "StoredImage",
    "contact_sheet",
    "decode_image",
    "encode_image",
    "extend_image",
    "fit_image",
    "fit_mask",
    "margin_mask",
    "parse_image_reference",
    "read_parameters",
    "refusal_reason",
    "shrink_image",
]
