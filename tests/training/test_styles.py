import numpy as np
import pytest

from training.captions import STYLE_PHRASES
from training.fields import Picture, gray
from training.styles import PROMISED_STYLES, STYLE_WEIGHTS, STYLES


def rendered(name: str, picture: Picture, seed: int = 5) -> Picture:
    return STYLES[name](np.random.default_rng(seed), picture)


@pytest.mark.parametrize("name", STYLES)
def test_a_style_is_the_same_for_the_same_seed_and_leaves_its_input_alone(name: str, photo: Picture) -> None:
    before = photo.copy()
    first, second = rendered(name, photo), rendered(name, photo)
    assert np.array_equal(first, second)
    assert np.array_equal(photo, before)
    assert not np.array_equal(first, photo)


@pytest.mark.parametrize("name", STYLES)
def test_a_style_keeps_size_and_type_of_an_odd_picture(name: str, photo: Picture) -> None:
    odd = np.ascontiguousarray(photo[:101, :78])
    made = rendered(name, odd)
    assert made.shape == odd.shape
    assert made.dtype == np.uint8


@pytest.mark.parametrize("name", STYLES)
def test_another_seed_renders_differently(name: str, photo: Picture) -> None:
    assert any(
        not np.array_equal(rendered(name, photo), rendered(name, photo, seed)) for seed in range(6, 12)
    )


@pytest.mark.parametrize("seed", range(4))
def test_pixel_art_is_made_of_square_cells_in_few_colors(photo: Picture, seed: int) -> None:
    made = rendered("pixel_art", photo, seed)
    cells = made.reshape(made.shape[0] // 4, 4, made.shape[1] // 4, 4, 3)
    assert np.array_equal(cells, np.broadcast_to(cells[:, :1, :, :1], cells.shape))
    assert len(np.unique(made.reshape(-1, 3), axis=0)) <= 20


@pytest.mark.parametrize("name", ["charcoal", "pencil", "line_art", "monochrome"])
def test_drawings_without_color_have_none(name: str, photo: Picture) -> None:
    made = rendered(name, photo).astype(int)
    assert np.ptp(made, axis=2).max() <= 12


def test_line_art_is_mostly_white_and_neon_mostly_dark(photo: Picture) -> None:
    assert np.median(gray(rendered("line_art", photo))) > 240
    assert np.median(gray(rendered("neon", photo))) < 90


def test_every_style_has_words_and_a_weight() -> None:
    assert set(STYLE_PHRASES) == set(STYLES) == set(STYLE_WEIGHTS)
    assert len(PROMISED_STYLES) == 12
