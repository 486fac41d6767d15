"""Inpainting through the engine and through diffusers' pipeline gives the same picture, to 1/255 a channel."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.checkpoints_xl import write_sdxl_checkpoint
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
    monkeypatch.setattr("underpaint.engine.trajectory.join", lambda painted, _original, _mask: painted)


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


@pytest.mark.usefixtures("unpasted")
@pytest.mark.parametrize("name", ["DDIM", "Euler a", "DPM++ 2M Karras", "Heun", "UniPC", "LCM"])
@pytest.mark.parametrize("strength", [0.1, 0.6, 1.0])
@pytest.mark.parametrize("guidance_scale", [7.5, 1.0])
def test_inpainting_checkpoints_match(
    inpainting: SideBySide, photo: Picture, name: str, strength: float, guidance_scale: float
) -> None:
    asked = Asked(
        scheduler=name, picture=photo, mask=half(), strength=strength, guidance_scale=guidance_scale
    )
    ours = inpainting.ours(asked)
    assert worst_difference(ours, inpainting.theirs(asked, REFERENCES[name])) <= 1
    assert not is_flat(ours)


@pytest.mark.usefixtures("unpasted")
@pytest.mark.parametrize("strength", [0.6, 1.0])
def test_sdxl_inpainting_checkpoints_match(tmp_path: Path, photo: Picture, strength: float) -> None:
    folder = write_sdxl_checkpoint(tmp_path / "model", in_channels=9)
    both = SideBySide(folder, architecture="sdxl", pipeline="StableDiffusionXL{}Pipeline")
    asked = Asked(picture=photo, mask=half(), strength=strength)
    assert worst_difference(both.ours(asked), both.theirs(asked, REFERENCES["DDIM"])) <= 1


@pytest.mark.parametrize("strength", [0.6, 1.0])
def test_without_a_mask_an_inpainting_checkpoint_paints_everything(
    inpainting: SideBySide, photo: Picture, strength: float
) -> None:
    """As diffusers' pipeline with a white mask. At full strength that begins with noise alone, and we do not."""
    asked = Asked(picture=photo, strength=strength)
    white = replace(asked, mask=np.full((64, 64), 255, np.uint8))
    assert worst_difference(inpainting.ours(white), inpainting.theirs(white, REFERENCES["DDIM"])) <= 1
    if strength < 1.0:
        assert worst_difference(inpainting.ours(asked), inpainting.ours(white)) <= 1


def test_from_text_an_inpainting_checkpoint_is_shown_nothing(inpainting: SideBySide) -> None:
    first, second = (inpainting.ours(Asked(seed=seed)) for seed in (1, 2))
    assert not is_flat(first)
    assert worst_difference(first, second) > 10


def test_what_an_inpainting_checkpoint_keeps_matters(inpainting: SideBySide, photo: Picture) -> None:
    asked = Asked(picture=photo, mask=half(), strength=1.0)
    other = photo.copy()
    other[:, :32] = 255 - other[:, :32]
    painted = (inpainting.ours(asked)[:, 40:], inpainting.ours(replace(asked, picture=other))[:, 40:])
    assert worst_difference(*painted) > 10
