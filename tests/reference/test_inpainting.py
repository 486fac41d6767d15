"""Inpainting through the engine and through diffusers' pipeline gives the same picture, to 1/255 a channel."""

import numpy as np
import pytest

from tests.reference.side_by_side import Asked, SideBySide, is_flat, worst_difference
from tests.reference.test_parity import REFERENCES
from underpaint.engine.messages import Mask, Picture


def half() -> Mask:
    """The right half white: its edge is one between latents, where there is no choice of how to reduce it."""
    row = np.where(np.arange(64) < 32, 0, 255)
    return np.tile(row.astype(np.uint8), (64, 1))


@pytest.fixture
def unpasted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures as the model decodes them, as diffusers gives them: comparable where the mask is black, too."""
    monkeypatch.setattr("underpaint.engine.job.join", lambda painted, _original, _mask: painted)


@pytest.mark.usefixtures("unpasted")
@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("strength", [0.1, 0.6, 1.0])
def test_inpainting_matches(sd1: SideBySide, photo: Picture, name: str, strength: float) -> None:
    asked = Asked(scheduler=name, picture=photo, mask=half(), strength=strength)
    ours = sd1.ours(asked)
    assert worst_difference(ours, sd1.theirs(asked, REFERENCES[name])) <= 1
    assert not is_flat(ours)


@pytest.mark.usefixtures("unpasted")
def test_checkpoints_that_predict_v_match(sd2: SideBySide, photo: Picture) -> None:
    asked = Asked(picture=photo, mask=half(), strength=0.6)
    assert worst_difference(sd2.ours(asked), sd2.theirs(asked, REFERENCES["DDIM"])) <= 1


def test_the_mask_matters(sd1: SideBySide, photo: Picture) -> None:
    asked = Asked(picture=photo, mask=half(), strength=1.0)
    assert worst_difference(sd1.ours(asked), sd1.ours(Asked(picture=photo, strength=1.0))) > 10
