"""The short form of `python -m benchmarks.strength`: every strength from 0 to 1 by 0.05, three photos, two seeds.

The rule: the mean distance to the photo never lies below the greatest one at a smaller strength by more than another
seed moves it, which is the standard deviation over the seeds, averaged over the strengths. 0 is exact.
"""

import numpy as np
import pytest

from benchmarks.sides import EMBEDDED_MODEL, Asked, Ours
from benchmarks.strength import PHOTOS, PROMPT, Sweep, load_photo, sweep


@pytest.fixture(scope="module")
def ours() -> Ours:
    return Ours(EMBEDDED_MODEL, device="cpu", threads=1)


@pytest.mark.parametrize("name", PHOTOS)
def test_the_distance_to_the_photo_never_falls_by_more_than_noise(ours: Ours, name: str) -> None:
    # So many steps that each strength runs another number of them.
    asked = Asked(prompt=PROMPT, negative_prompt="", size_px=128, steps=20, picture=load_photo(name, 128))
    found = sweep(ours, asked, strengths=[number / 20 for number in range(21)], seeds=2)

    assert set(found.distances[0.0]) == {0.0}
    assert found.worst_fall <= found.noise, found.means
    # Noise is not so large that it would hide what is asked for.
    assert 10 * found.noise < found.means[-1]
    assert found.means[-1] > 2 * found.means[1]


def test_strength_0_gives_the_photo_to_the_byte(ours: Ours) -> None:
    picture = load_photo("cat", 128)
    [finished] = ours.paint(Asked(size_px=128, strength=0.0, picture=picture))
    assert np.array_equal(finished.picture, picture)


def test_a_fall_is_measured_from_the_greatest_before_it() -> None:
    assert Sweep(distances={0.0: [0.0, 0.0], 0.5: [8.0, 10.0], 1.0: [7.0, 7.0]}).worst_fall == 2.0
    assert Sweep(distances={0.0: [0.0, 0.0], 0.5: [8.0, 10.0], 1.0: [9.0, 9.0]}).worst_fall == 0.0
