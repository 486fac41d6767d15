import numpy as np
import pytest

from training.fields import gray
from training.scenes import SCENES, random_scene


@pytest.mark.parametrize("seed", range(6))
def test_a_scene_is_the_same_for_the_same_seed(seed: int) -> None:
    first, second = (random_scene(np.random.default_rng(seed), 96) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert first[1] == second[1] != ""
    assert first[0].shape == (96, 96, 3)
    assert first[0].std() > 4


@pytest.mark.parametrize("builder", [builder for builder, _ in SCENES], ids=lambda b: b.__name__)
def test_every_builder_paints_finite_colors_and_names_them(builder: object) -> None:
    values, words = builder(np.random.default_rng(2), 96)  # type: ignore[operator]
    assert np.isfinite(values).all()
    assert words
    assert all(word == word.lower() for word in words)


def test_scenes_at_night_are_darker_than_scenes_under_a_blue_sky() -> None:
    by_word: dict[str, list[float]] = {"night sky": [], "blue sky": []}
    landscape = SCENES[0][0]
    for seed in range(60):
        values, words = landscape(np.random.default_rng(seed), 64)
        for word, levels in by_word.items():
            if any(word in said for said in words):
                levels.append(float(gray(values).mean()))
    assert max(by_word["night sky"]) < np.median(by_word["blue sky"])
