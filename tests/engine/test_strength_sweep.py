"""The short form of `python -m benchmarks.strength`."""

import numpy as np
import pytest

from benchmarks.sides import EMBEDDED_MODEL, Asked, Ours
from benchmarks.strength import PHOTOS, PROMPT, Sweep, load_photo, sweep


@pytest.fixture(scope="module")
def ours() -> Ours:
    return Ours(EMBEDDED_MODEL, device="cpu", threads=1)


@pytest.mark.parametrize("name", PHOTOS)
def test_the_distance_to_the_photo_never_falls_by_more_than_noise(ours: Ours, name: str) -> None:
    asked = Asked(prompt=PROMPT, negative_prompt="", size_px=128, steps=10, picture=load_photo(name, 128))
    strengths = [number / 10 for number in range(11)]
    found = sweep(ours, asked, strengths=strengths, seeds=3)

    assert found.means[0] == 0.0
    assert found.worst_fall <= found.noise
    assert found.means[-1] > 2 * found.means[1]


def test_strength_0_gives_the_photo_to_the_byte(ours: Ours) -> None:
    picture = load_photo("cat", 128)
    [finished] = ours.paint(Asked(size_px=128, strength=0.0, picture=picture))
    assert np.array_equal(finished.picture, picture)


def test_a_fall_is_measured_from_the_greatest_before_it() -> None:
    assert Sweep(distances={0.0: [0.0, 0.0], 0.5: [8.0, 10.0], 1.0: [7.0, 7.0]}).worst_fall == 2.0
    assert Sweep(distances={0.0: [0.0, 0.0], 0.5: [8.0, 10.0], 1.0: [9.0, 9.0]}).worst_fall == 0.0
