"""Seed pictures in the space of the latents, each encoded once for all jobs that begin with it."""

import hashlib

import numpy as np

from underpaint.diffusion.autoencoder import Autoencoder
from underpaint.diffusion.encoded import EncodedPicture, Hidden, Picture
from underpaint.diffusion.family import Family
from underpaint.diffusion.masking import FAINTEST
from underpaint.engine.encodings import ByteBudgetCache
from underpaint.engine.messages import JobRequest, Mask


def encoded_picture(
    picture: Picture,
    request: JobRequest,
    autoencoder: Autoencoder | None,
    model: Family,
    encodings: ByteBudgetCache,
    *,
    hidden: Hidden | None = None,
) -> EncodedPicture:
    """A picture, by the request's own autoencoder if it has one, without the pixels that are hidden."""
    digest = hashlib.blake2b(picture.tobytes(), digest_size=32)
    digest.update(b"" if hidden is None else hidden.tobytes())
    by = (request.model, request.vae and request.vae.location)
    encoded: EncodedPicture = encodings.get_or_make(
        ("picture", *by, picture.shape, hidden is None, digest.digest()),
        lambda: (
            autoencoder.encode(picture, hidden=hidden)
            if autoencoder
            else model.encode_picture(picture, hidden=hidden)
        ),
        lambda encoded: encoded.size_bytes,
    )
    return encoded


def shown_picture(
    picture: Picture | None,
    mask: Mask | None,
    request: JobRequest,
    autoencoder: Autoencoder | None,
    model: Family,
    encodings: ByteBudgetCache,
) -> EncodedPicture:
    """What an inpainting model is shown: what the mask keeps, and without a mask nothing."""
    if picture is None or mask is None:
        picture = np.zeros((request.height_px, request.width_px, 3), np.uint8)
        hidden = np.ones((request.height_px, request.width_px), np.bool_)
    else:
        hidden = mask >= FAINTEST
    return encoded_picture(picture, request, autoencoder, model, encodings, hidden=hidden)
