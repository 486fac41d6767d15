"""Inpainting with an ordinary checkpoint: what the mask keeps is put back at every step, and once more in the picture.

After each step the latents outside of the mask are replaced by the seed picture's, noised to where the walk now stands
(as in Lugmayr et al., "RePaint", arXiv:2201.09865, Eq. 8, without its resampling; diffusers' inpainting pipelines do
the same). The decoder blurs and shifts what it restores, so in the end the pixels themselves are put back.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from underpaint.diffusion.encoded import Picture
from underpaint.diffusion.sampler import Sampler

Mask = NDArray[np.uint8]
"""Height x width: 255 is painted anew, 0 is kept, what lies between is blended in proportion."""

FAINTEST = 8
"""Of 255: below it a pixel of the mask does not make its latents be painted anew. Lossy formats leave such traces."""


def latent_mask(mask: Mask, pixels_per_latent: int) -> Tensor:
    """1 for latents that are painted anew, 0 for those that are kept, (1, 1, height, width) in latent pixels.

    A latent is painted anew if any of its pixels is.
    """
    painted = torch.from_numpy((mask >= FAINTEST).astype(np.float32))[None, None]
    return torch.nn.functional.max_pool2d(painted, pixels_per_latent)


def paste(painted: Picture, seed: Picture, mask: Mask) -> Picture:
    """The painted picture inside the mask and the seed picture outside of it, blended where the mask is gray.

    Where the mask is 0 the result is the seed picture to the byte.
    """
    share = mask[..., None].astype(np.uint32)
    blended = painted.astype(np.uint32) * share + seed.astype(np.uint32) * (255 - share)
    result: Picture = ((blended + 127) // 255).astype(np.uint8)
    return result


JOIN_REACH_PX = 4.0
"""How far from the edge the painted pixels are led to the kept ones: the share falls to 1/e over this distance."""
JOIN_BLUR_PX = 1.0
"""Standard deviation of the blur that keeps this from drawing streaks."""


def join(painted: Picture, seed: Picture, mask: Mask) -> Picture:
    """Like `paste`, without a seam where the mask has a hard edge.

    What is kept went through the autoencoder too, so its error is known there. It is carried over the edge, from the
    nearest kept pixel, and fades out.
    """
    kept = mask < FAINTEST
    if kept.all() or not kept.any():
        return paste(painted, seed, mask)
    distance, (rows, columns) = ndimage.distance_transform_edt(~kept, return_indices=True)
    error = (seed.astype(np.float32) - painted)[rows, columns]
    error = np.where(kept[..., None], error, ndimage.gaussian_filter(error, (JOIN_BLUR_PX, JOIN_BLUR_PX, 0)))
    fading = np.exp(-np.maximum(distance - 1.0, 0.0) / JOIN_REACH_PX).astype(np.float32)[..., None]
    led = np.clip(np.rint(painted + error * fading), 0, 255).astype(np.uint8)
    return paste(led, seed, mask)


class KeptLatents:
    """The part of one request's latents that its mask keeps."""

    def __init__(self, latents: Tensor, mask: Tensor, noise: Tensor) -> None:
        """Take the encoded seed picture, (1, channels, height, width), its `latent_mask`, and the request's noise."""
        self._latents, self._mask, self.noise = latents, mask, noise

    def put_back(self, latents: Tensor, sampler: Sampler) -> Tensor:
        """Latents as they are inside the mask, and as the seed picture's would be now outside of it."""
        kept = sampler.noised_to_here(self._latents, self.noise)
        return (1.0 - self._mask) * kept + self._mask * latents
