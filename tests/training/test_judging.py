import numpy as np
import pytest
from PIL import Image

from training.judging import JUDGED_PHOTOS, cut_square


def test_twenty_photos_are_judged() -> None:
    assert len(JUDGED_PHOTOS) == len({name for name, *_ in JUDGED_PHOTOS}) == 20


@pytest.mark.parametrize(("across", "expected"), [(0.0, 0), (1.0, 255)])
def test_a_square_is_cut_where_it_is_asked_for(across: float, expected: int) -> None:
    pixels = np.zeros((40, 120, 3), np.uint8)
    pixels[:, 60:] = 255
    square = cut_square(Image.fromarray(pixels), across, 0.5, 1.0, 16)
    assert square.shape == (16, 16, 3)
    assert (square == expected).all()
