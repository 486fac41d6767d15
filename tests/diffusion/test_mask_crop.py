"""The part that a mask paints, cut out with a margin in the picture's shape, and put back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from underpaint.diffusion.mask_crop import MaskCrop
from underpaint.diffusion.masking import Mask

WIDTH, HEIGHT = 192, 128


def mask_of(left: int, top: int, right: int, bottom: int) -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


@given(
    left=st.integers(0, WIDTH - 1),
    top=st.integers(0, HEIGHT - 1),
    width=st.integers(1, 64),
    height=st.integers(1, 64),
    margin=st.integers(0, 40),
)
def test_it_holds_what_is_painted_with_its_margin(
    left: int, top: int, width: int, height: int, margin: int
) -> None:
    right, bottom = min(WIDTH, left + width), min(HEIGHT, top + height)
    crop = MaskCrop.around(mask_of(left, top, right, bottom), margin)
    if crop is None:
        # Only where nothing is gained.
        assert right - left + 2 * margin >= WIDTH - 1 or bottom - top + 2 * margin >= HEIGHT - 1
        return
    found_left, found_top, found_right, found_bottom = crop.box
    assert 0 <= found_left <= max(0, left - margin)
    assert 0 <= found_top <= max(0, top - margin)
    assert min(WIDTH, right + margin) <= found_right <= WIDTH
    assert min(HEIGHT, bottom + margin) <= found_bottom <= HEIGHT
    assert crop.width_px / WIDTH == pytest.approx(crop.height_px / HEIGHT, abs=1.01 / HEIGHT)


def test_a_mask_in_the_middle_is_in_the_middle() -> None:
    crop = MaskCrop.around(mask_of(80, 56, 112, 72), 32)
    assert crop is not None
    assert (crop.left_px + crop.width_px / 2, crop.top_px + crop.height_px / 2) == (96, 64)
    assert (crop.width_px, crop.height_px) == (120, 80)


@pytest.mark.parametrize("value", [0, 7])
def test_there_is_nothing_to_zoom_in_on_without_paint(value: int) -> None:
    assert MaskCrop.around(np.full((HEIGHT, WIDTH), value, np.uint8), 32) is None


def test_faint_traces_elsewhere_do_not_widen_it() -> None:
    mask = mask_of(80, 56, 112, 72)
    traced = mask.copy()
    traced[0, 0] = 7
    assert MaskCrop.around(traced, 32) == MaskCrop.around(mask, 32)


def test_what_is_put_back_lies_where_it_was_cut_out() -> None:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    picture = (np.stack([rows, columns, rows + columns], axis=2) // 2).astype(np.uint8)
    mask = mask_of(80, 56, 112, 72)
    crop = MaskCrop.around(mask, 32)
    assert crop is not None

    enlarged = crop.enlarge(picture)
    assert enlarged.shape == picture.shape
    assert np.abs(crop.put_back(enlarged, picture).astype(int) - picture).max() <= 2
    blank = crop.put_back(np.full_like(picture, 255), picture)
    left, top, right, bottom = crop.box
    assert (blank[top:bottom, left:right] == 255).all()
    assert (blank == 255).all(axis=2).sum() == crop.width_px * crop.height_px

    zoomed = crop.enlarge_mask(mask)
    assert zoomed.shape == mask.shape
    assert set(np.unique(zoomed[[0, -1]])) == {0}
    assert zoomed[HEIGHT // 2, WIDTH // 2] == 255
