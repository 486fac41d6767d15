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
STEP_SHARE = 0.75
"""Of the step that is left at the edge then, what is taken off."""
STEP_REACH_PX = 12.0
"""Likewise for that: farther, for it is more than an error, and must not become a slope that shows."""
STEP_CELL_PX = 4
"""Steps are averaged along the edge over some such cells: single pixels are texture."""
OWN_EDGE = (20.0, 40.0)
"""Of 255, over all channels: a step of the seed picture that may be the edge of a thing, and one that is."""


def join(painted: Picture, seed: Picture, mask: Mask) -> Picture:
    """Like `paste`, without a seam where the mask has a hard edge.

    What is kept went through the autoencoder too, so its error is known there. It is carried over the edge, from the
    nearest kept pixel, and fades out. Most of the step that is left is spread over the pixels behind the edge, unless
    the seed picture has the same step in the same place: then it is the edge of something, and stays sharp.
    """
    kept = mask < FAINTEST
    if kept.all() or not kept.any():
        return paste(painted, seed, mask)
    distance, (rows, columns) = ndimage.distance_transform_edt(~kept, return_indices=True)
    error = (seed.astype(np.float32) - painted)[rows, columns]
    error = np.where(kept[..., None], error, ndimage.gaussian_filter(error, (JOIN_BLUR_PX, JOIN_BLUR_PX, 0)))
    led = painted + error * _fading(distance, JOIN_REACH_PX)[..., None]
    near = ~kept & (distance < 5 * STEP_REACH_PX)
    steps = _steps(led, seed.astype(np.float32), first=distance == 1, rows=rows, columns=columns)
    places = [(along[near] + 0.5) / STEP_CELL_PX - 0.5 for along in (rows, columns)]
    spread = STEP_SHARE * _fading(distance[near], STEP_REACH_PX)
    for channel in range(led.shape[2]):
        led[near, channel] -= spread * ndimage.map_coordinates(
            steps[..., channel], places, order=1, mode="nearest"
        )
    return paste(np.clip(np.rint(led), 0, 255).astype(np.uint8), seed, mask)


Floats = NDArray[np.float32]


def _fading(distance: NDArray[np.float64], reach_px: float) -> Floats:
    """1 at the edge, and 1/e so far behind it."""
    return np.exp(-np.maximum(distance - 1.0, 0.0) / reach_px).astype(np.float32)


def _steps(
    led: Floats,
    seed: Floats,
    *,
    first: NDArray[np.bool_],
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
) -> Floats:
    """How much the first painted pixels differ from the kept ones beside them, where the seed picture does not.

    Args:
        led: the painted picture.
        seed: the seed picture.
        first: which pixels are painted and beside a kept one.
        rows, columns: of the kept pixel that is nearest to each pixel.

    Returns:
        In cells of `STEP_CELL_PX`, averaged along the edge; only right for cells that it goes through.
    """
    beside = seed[rows, columns]
    shown = first[..., None]
    together = np.concatenate(
        [np.where(shown, led - beside, 0), np.where(shown, seed - beside, 0), shown], axis=2
    )
    averaged = ndimage.gaussian_filter(_in_cells(together.astype(np.float32)), (1.0, 1.0, 0))
    step, own = np.split(averaged[..., :-1] / np.maximum(averaged[..., -1:], 1e-6), 2, axis=2)
    height = np.linalg.norm(own, axis=2)
    alike = np.clip(1.5 - 2 * np.linalg.norm(step - own, axis=2) / np.maximum(height, 1e-3), 0, 1)
    least, most = OWN_EDGE
    left: Floats = step * (1 - alike * np.clip((height - least) / (most - least), 0, 1))[..., None]
    return left


def _in_cells(values: Floats) -> Floats:
    """Sums over cells of `STEP_CELL_PX`, those at the end as far as there is something."""
    height, width, channels = values.shape
    padded = np.pad(values, ((0, -height % STEP_CELL_PX), (0, -width % STEP_CELL_PX), (0, 0)))
    cells: Floats = padded.reshape(
        padded.shape[0] // STEP_CELL_PX, STEP_CELL_PX, padded.shape[1] // STEP_CELL_PX, STEP_CELL_PX, channels
    ).sum(axis=(1, 3))
    return cells


class KeptLatents:
    """The part of one request's latents that its mask keeps."""

    def __init__(self, latents: Tensor, mask: Tensor, noise: Tensor) -> None:
        """Take the encoded seed picture, (1, channels, height, width), its `latent_mask`, and the request's noise."""
        self._latents, self._mask, self.noise = latents, mask, noise

    def put_back(self, latents: Tensor, sampler: Sampler) -> Tensor:
        """Latents as they are inside the mask, and as the seed picture's would be now outside of it."""
        kept = sampler.noised_to_here(self._latents, self.noise)
        return (1.0 - self._mask) * kept + self._mask * latents
