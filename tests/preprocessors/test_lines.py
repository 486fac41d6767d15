"""Guide images that need no network: what is in them, and that they are the same each time."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from underpaint.preprocessors import lines, resampled
from underpaint.preprocessors.kinds import guide_image
from underpaint.preprocessors.networks import Networks
from underpaint.preprocessors.picture import Picture

DRAWN = ("canny", "lineart", "lineart_anime", "scribble", "softedge", "mlsd")
ALL = (*DRAWN, "tile", "shuffle")


def made(kind: str, picture: Picture) -> Picture:
    return guide_image(kind, picture, low=100, high=200, folders={}, networks=Networks())


def house() -> Picture:
    """A dark square on a light ground, without noise."""
    picture = np.full((120, 160, 3), 220, np.uint8)
    picture[30:90, 40:120] = (40, 60, 90)
    return picture


@pytest.mark.parametrize("kind", ALL)
def test_a_guide_image_has_its_pictures_size_and_is_the_same_each_time(kind: str, example: Picture) -> None:
    before = example.copy()
    first, second = made(kind, example), made(kind, example)
    assert first.shape == example.shape
    assert first.dtype == np.uint8
    assert (first == second).all()
    assert (example == before).all()
    assert 2 < first.mean() < 250


@pytest.mark.parametrize("kind", DRAWN)
def test_what_is_drawn_is_white_on_black_and_lies_on_the_edges(kind: str) -> None:
    drawn = made(kind, house())
    assert (drawn[..., 0] == drawn[..., 1]).all()
    assert (drawn[..., 0] == drawn[..., 2]).all()
    near = np.zeros(drawn.shape[:2], np.uint8)
    cv2.rectangle(near, (40, 30), (119, 89), 255, thickness=17)
    on_edges, elsewhere = drawn[near > 0, 0], drawn[near == 0, 0]
    assert on_edges.max() > 200
    assert elsewhere.mean() < 3


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 5)])
def test_no_size_is_too_odd(kind: str, size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert made(kind, picture).shape == picture.shape


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize("shade", [0, 128, 255])
def test_a_plain_picture_has_no_lines(kind: str, shade: int) -> None:
    assert made(kind, np.full((64, 64, 3), shade, np.uint8)).max() == 0


def test_canny_is_opencvs_own(example: Picture) -> None:
    edges = lines.canny(example, low=60, high=120)
    assert (edges[..., 0] == cv2.Canny(example, 60, 120)).all()
    assert (edges > 0).sum() > (lines.canny(example, low=150, high=250) > 0).sum()


def test_a_tile_has_the_colors_and_none_of_the_detail(example: Picture) -> None:
    tile = resampled.tile(example)
    assert np.abs(tile.mean(axis=(0, 1)) - example.mean(axis=(0, 1))).max() < 1
    sharpness: Callable[[Picture], float] = lambda picture: float(cv2.Laplacian(picture, cv2.CV_32F).var())  # noqa: E731
    assert sharpness(tile) < sharpness(example) / 20


def test_shuffling_keeps_colors_and_moves_everything(example: Picture) -> None:
    moved = resampled.shuffle(example)
    seen = {tuple(color) for color in (example // 32).reshape(-1, 3).tolist()}
    shown = {tuple(color) for color in (moved // 32).reshape(-1, 3).tolist()}
    assert len(shown - seen) < 10
    assert np.abs(moved.astype(int) - example).mean() > 30
