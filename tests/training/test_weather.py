import numpy as np
import pytest

from training.captions import COLOR_PHRASES, WEATHER_PHRASES
from training.fields import Picture, gray
from training.measures import COLOR_AXES, amount_of
from training.weather import COLORS, WEATHER, WEATHER_WEIGHTS, sky_mask

EVERY = {**WEATHER, **COLORS}


@pytest.mark.parametrize("name", EVERY)
def test_weather_is_the_same_for_the_same_seed_and_keeps_the_size(name: str, photo: Picture) -> None:
    odd = np.ascontiguousarray(photo[:90, :75])
    first, second = (EVERY[name](np.random.default_rng(3), odd) for _ in range(2))
    assert np.array_equal(first, second)
    assert first.shape == odd.shape
    assert first.dtype == np.uint8
    assert not np.array_equal(first, odd)


def test_the_sky_is_found_above_and_not_below(photo: Picture) -> None:
    mask = sky_mask(photo)
    middle = photo.shape[0] // 2
    assert mask[: middle - 8].mean() > 0.9
    assert mask[middle + 8 :].mean() < 0.05


def test_night_is_dark_and_fog_is_pale(photo: Picture) -> None:
    night = gray(WEATHER["night"](np.random.default_rng(1), photo)).mean()
    fog = gray(WEATHER["fog"](np.random.default_rng(1), photo)).mean()
    assert night < 0.5 * gray(photo).mean()
    assert fog > gray(photo).mean() + 30


def test_snow_whitens_the_ground_and_autumn_turns_it_from_green_to_orange(photo: Picture) -> None:
    ground = photo[100:]
    snowy = WEATHER["snow"](np.random.default_rng(1), photo)[100:]
    autumnal = WEATHER["autumn"](np.random.default_rng(1), photo)[100:].mean((0, 1))
    assert gray(snowy).mean() > gray(ground).mean() + 40
    assert autumnal[0] > autumnal[1]
    assert ground.mean((0, 1))[1] > ground.mean((0, 1))[0]


@pytest.mark.parametrize("color", COLOR_AXES)
def test_a_color_word_adds_that_color(color: str, photo: Picture) -> None:
    tinted = COLORS[color](np.random.default_rng(1), photo)
    gray_photo = np.repeat(gray(photo)[..., None], 3, 2).astype(np.uint8)
    assert amount_of(color, tinted) > amount_of(color, gray_photo)


def test_every_weather_and_color_has_words() -> None:
    assert set(WEATHER_PHRASES) == set(WEATHER) == set(WEATHER_WEIGHTS)
    assert set(COLOR_PHRASES) == set(COLORS)
