from pathlib import Path

import numpy as np
import pytest

from training.fields import Picture
from training.pictures import SourcePictures, panorama_view, place, square_crop


@pytest.fixture(scope="module")
def pictures(source_folder: Path) -> SourcePictures:
    return SourcePictures(source_folder)


def test_samples_are_the_same_for_the_same_seed(pictures: SourcePictures) -> None:
    for seed in range(8):
        first, second = (pictures.sample(np.random.default_rng(seed), 64) for _ in range(2))
        assert np.array_equal(first.picture, second.picture)
        assert first.caption == second.caption
        assert first.picture.shape == (64, 64, 3)


def test_captions_say_what_the_sources_say(pictures: SourcePictures) -> None:
    rng = np.random.default_rng(3)
    said = {pictures.photo(rng, 48).caption for _ in range(80)}
    assert {"scene 0", "scene 1", "a wide field"} <= said
    objects = {pictures.object(rng, pictures.photo(rng, 48)).caption.split(",")[0] for _ in range(20)}
    assert objects == {"a red ball", "a red disc"}


def test_a_drawing_is_placed_over_the_background(photo: Picture) -> None:
    disc = np.full((30, 30, 4), 255, np.uint8)
    made = place(np.random.default_rng(1), np.zeros((96, 96, 3), np.uint8), disc, 0.5)
    bright = made.mean(2) > 128
    assert bright.sum() == pytest.approx(48 * 48, rel=0.08)


def test_a_crop_is_square_and_reports_its_share(photo: Picture) -> None:
    wide = np.ascontiguousarray(photo[:80])
    for seed in range(10):
        crop, share = square_crop(np.random.default_rng(seed), wide, 32, smallest_px=40)
        assert crop.shape == (32, 32, 3)
        assert 0.5 <= share <= 1


def test_a_view_into_a_panorama_looks_at_the_horizon() -> None:
    panorama = np.zeros((64, 128, 3), np.uint8)
    panorama[:32] = 200
    views = np.stack([panorama_view(np.random.default_rng(seed), panorama, 32) for seed in range(12)])
    assert views[:, 0].mean() > 150
    assert views[:, -1].mean() < 50
