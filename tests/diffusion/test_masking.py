"""What a mask keeps is kept to the byte."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from underpaint.diffusion.encoded import Picture
from underpaint.diffusion.masking import FAINTEST, join, latent_mask, paste


def pictures(seed: int, side: int = 24) -> tuple[Picture, Picture]:
    generator = np.random.default_rng(seed)
    painted, photo = generator.integers(0, 256, (2, side, side, 3), np.uint8)
    return painted, photo


@given(seed=st.integers(0, 10_000), share=st.integers(0, 255))
def test_black_keeps_white_paints_and_gray_lies_between(seed: int, share: int) -> None:
    painted, photo = pictures(seed)
    mask = np.full(photo.shape[:2], share, np.uint8)
    mask[:8], mask[8:16] = 0, 255
    pasted = paste(painted, photo, mask)

    assert np.array_equal(pasted[:8], photo[:8])
    assert np.array_equal(pasted[8:16], painted[8:16])
    low, high = np.minimum(painted, photo)[16:], np.maximum(painted, photo)[16:]
    assert ((pasted[16:] >= low) & (pasted[16:] <= high)).all()
    exact = (painted[16:].astype(float) * share + photo[16:].astype(float) * (255 - share)) / 255
    assert np.abs(pasted[16:] - exact).max() <= 0.51


@pytest.mark.parametrize(("value", "painted"), [(0, 0), (FAINTEST - 1, 0), (FAINTEST, 1), (255, 1)])
def test_one_pixel_makes_its_latent_be_painted_anew(value: int, painted: int) -> None:
    mask = np.zeros((32, 48), np.uint8)
    mask[9, 17] = value
    latents = latent_mask(mask, 8)

    assert latents.shape == (1, 1, 4, 6)
    assert latents.sum() == painted
    assert torch.equal(latents[0, 0, 1, 2], torch.tensor(float(painted)))


@given(seed=st.integers(0, 10_000), value=st.sampled_from([0, 1, 7, 128, 255]))
def test_joined_pictures_too_keep_what_is_black(seed: int, value: int) -> None:
    painted, photo = pictures(seed)
    mask = np.random.default_rng(seed).choice(np.array([0, value], np.uint8), photo.shape[:2])
    joined = join(painted, photo, mask)

    assert joined.dtype == np.uint8
    assert np.array_equal(joined[mask == 0], photo[mask == 0])


def test_an_error_of_the_autoencoder_does_not_show_at_the_edge() -> None:
    """The whole of what was painted is too bright by 40: at the edge nothing of that is left, far from it all is."""
    photo = np.full((32, 64, 3), 100, np.uint8)
    mask = np.zeros((32, 64), np.uint8)
    mask[:, 32:] = 255
    joined = join(photo + 40, photo, mask).astype(int)

    assert np.abs(joined[:, 32] - 100).max() <= 1
    assert np.abs(joined[:, -8:] - 140).max() <= 1
    assert np.diff(joined[16, :, 0]).max() <= 10
    assert (paste(photo + 40, photo, mask)[:, 32] == 140).all()


def test_what_is_new_leaves_no_step_at_the_edge_and_keeps_its_color_inside() -> None:
    """The autoencoder is perfect, and what was painted is brighter by 40."""
    photo = np.full((32, 96, 3), 100, np.uint8)
    mask = np.zeros((32, 96), np.uint8)
    mask[:, 32:] = 255
    painted = photo + (mask[..., None] // 255 * 40).astype(np.uint8)
    joined = join(painted, photo, mask).astype(int)

    assert np.abs(joined[:, 32] - 110).max() <= 1
    assert np.abs(joined[:, -8:] - 140).max() <= 1
    # From the first painted pixel on there is a slope, and none of its steps shows.
    assert np.diff(joined[16, 32:, 0]).max() <= 3


@pytest.mark.parametrize("share", [1.0, 0.8])
def test_an_edge_that_the_photo_has_there_too_stays_sharp(share: float) -> None:
    """The mask follows the edge of something, and what is painted has that edge as well."""
    mask = np.zeros((32, 96), np.uint8)
    mask[:, 32:] = 255
    photo = np.where(mask[..., None] > 0, (180, 60, 30), (60, 120, 200)).astype(np.uint8)
    difference = photo[:1, -1:].astype(float) - photo[:1, :1]
    painted = np.where(mask[..., None] > 0, photo[:1, :1] + share * difference, photo).astype(np.uint8)

    assert np.array_equal(join(painted, photo, mask), painted)


@pytest.mark.parametrize("size", [(1, 2), (5, 7), (3, 130)])
def test_no_size_is_too_odd_to_join(size: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    painted, photo = generator.integers(0, 256, (2, *size, 3), np.uint8)
    mask = np.zeros(size, np.uint8)
    mask[:, size[1] // 2 :] = 255
    joined = join(painted, photo, mask)

    assert np.array_equal(joined[mask == 0], photo[mask == 0])
