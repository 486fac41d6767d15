"""The seed picture's colors in a picture that was made of it.

Autoencoders shift colors a little, and so does every pass of a denoiser that is not quite free of bias; what is small
in one pass is not after ten. The correction is StableSR's (Wang et al., arXiv:2305.07015, its "wavelet color fix"):
the picture keeps its details, and its large areas get the seed picture's colors. Here one Gaussian parts the two, where
theirs is a cascade of small kernels that comes to about the same.
"""

import numpy as np
from scipy import ndimage

from underpaint.diffusion.encoded import Picture

AREA_SHARE = 1 / 32
"""Of the longer side: the Gaussian's standard deviation. Their cascade has 13 pixels at 512."""


def with_colors_of(seed: Picture, painted: Picture) -> Picture:
    """`painted` with the large areas of `seed`; both are (height, width, 3)."""
    sigma_px = max(seed.shape[:2]) * AREA_SHARE
    shift = seed.astype(np.float32) - painted
    for channel in range(shift.shape[2]):
        # A channel at a time: a picture of 2048 x 2048 has 50 MB in float32 as it is.
        shift[..., channel] = ndimage.gaussian_filter(shift[..., channel], sigma_px, mode="nearest")
    fixed: Picture = np.clip(np.rint(painted + shift), 0, 255).astype(np.uint8)
    return fixed
