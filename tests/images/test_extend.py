"""Room around a picture: its edges continued, and a mask of what is new."""

import numpy as np
import pytest
from PIL import Image

from underpaint.images import Margins, extend_image, margin_mask


def photo() -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 96, 3), np.uint8))


@pytest.mark.parametrize(
    "margins",
    [
        Margins(top_px=32),
        Margins(right_px=64),
        Margins(bottom_px=16),
        Margins(left_px=8),
        Margins(top_px=1, right_px=2, bottom_px=3, left_px=4),
    ],
)
def test_the_picture_is_kept_and_its_edges_go_on(margins: Margins) -> None:
    image = photo()
    extended = np.asarray(extend_image(image, margins))
    height, width = extended.shape[:2]
    assert (width, height) == (96 + margins.added_width_px, 64 + margins.added_height_px)
    inner = (
        slice(margins.top_px, height - margins.bottom_px),
        slice(margins.left_px, width - margins.right_px),
    )
    assert np.array_equal(extended[inner], np.asarray(image))
    rows = np.clip(np.arange(height) - margins.top_px, 0, 63)
    columns = np.clip(np.arange(width) - margins.left_px, 0, 95)
    assert np.array_equal(extended, np.asarray(image)[rows][:, columns])

    mask = np.asarray(margin_mask(width, height, margins))
    assert mask.dtype == np.uint8
    assert (mask[inner] == 0).all()
    assert (mask == 255).sum() == width * height - 64 * 96


@pytest.mark.parametrize("blur", [1, 8, 32])
def test_the_mask_fades_into_the_picture(blur: int) -> None:
    mask = np.asarray(margin_mask(128, 64, Margins(left_px=32), blur_px=blur)).astype(int)
    assert (mask == mask[0]).all()
    across = mask[0]
    assert (across[:32] == 255).all()
    assert (across[32 + blur :] == 0).all()
    faded = across[31 : 33 + blur]
    assert (np.diff(faded) < 0).all()
    assert np.abs(np.diff(faded, 2)).max() <= 1


def test_corners_fade_by_the_nearer_side() -> None:
    mask = np.asarray(margin_mask(64, 64, Margins(top_px=16, left_px=16), blur_px=8))
    assert np.array_equal(mask, mask.T)
    assert mask[16, 60] == mask[60, 16] == mask[16, 16]
