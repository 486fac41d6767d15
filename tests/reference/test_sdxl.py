"""SDXL through the engine and through diffusers' pipelines gives the same picture, to 1/255 a channel."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.checkpoints_xl import SDXL_SCHEDULER, write_sdxl_checkpoint
from tests.reference.side_by_side import Asked, ReferenceScheduler, SideBySide, is_flat, worst_difference
from tests.reference.test_inpainting import half
from tests.reference.test_parity import REFERENCES
from underpaint.engine.messages import Picture

SAMPLERS = ("DDIM", "Euler", "Euler a", "DPM++ 2M Karras", "Heun", "UniPC", "LCM")
PIPELINES = "StableDiffusionXL{}Pipeline"


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    return lambda **options: write_sdxl_checkpoint(tmp_path_factory.mktemp("sdxl") / "model", **options)


@pytest.mark.parametrize("name", ["Default", *SAMPLERS])
def test_text_to_image_matches(sdxl: SideBySide, name: str) -> None:
    asked = Asked(scheduler=name)
    ours = sdxl.ours(asked)
    assert worst_difference(ours, sdxl.theirs(asked, REFERENCES.get(name))) <= 1
    assert not is_flat(ours)


@pytest.mark.parametrize("name", ["Default", *SAMPLERS])
@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_image_to_image_matches(sdxl: SideBySide, photo: Picture, name: str, strength: float) -> None:
    asked = Asked(scheduler=name, picture=photo, strength=strength)
    ours = sdxl.ours(asked)
    assert worst_difference(ours, sdxl.theirs(asked, REFERENCES.get(name))) <= 1
    assert not is_flat(ours)


@pytest.mark.parametrize("name", ["DDIM", "Euler a", "DPM++ 2M Karras"])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_inpainting_matches(
    sdxl: SideBySide, photo: Picture, monkeypatch: pytest.MonkeyPatch, name: str, strength: float
) -> None:
    monkeypatch.setattr("underpaint.engine.trajectory.join", lambda painted, *_: painted)
    asked = Asked(scheduler=name, picture=photo, mask=half(), strength=strength)
    ours = sdxl.ours(asked)
    assert worst_difference(ours, sdxl.theirs(asked, REFERENCES[name])) <= 1
    assert not is_flat(ours)


@pytest.mark.parametrize(
    "asked",
    [
        Asked(clip_skip=1),
        Asked(guidance_scale=1.0),
        Asked(negative_prompt=""),
        Asked(width_px=96, height_px=48),
    ],
    ids=["clip skip", "no guidance", "no negative prompt", "another shape"],
)
def test_what_is_asked_for_matches_and_shows(sdxl: SideBySide, asked: Asked) -> None:
    ours = sdxl.ours(asked)
    assert worst_difference(ours, sdxl.theirs(asked, REFERENCES["DDIM"])) <= 1
    if ours.shape == (64, 64, 3):
        assert worst_difference(ours, sdxl.ours(Asked())) > 10


def test_an_empty_negative_prompt_is_encoded_where_the_checkpoint_says_so(make: Callable[..., Path]) -> None:
    both = SideBySide(make(force_zeros=False), architecture="sdxl", pipeline=PIPELINES)
    zeros = SideBySide(make(), architecture="sdxl", pipeline=PIPELINES)
    asked = Asked(negative_prompt="")
    ours = both.ours(asked)
    assert worst_difference(ours, both.theirs(asked, REFERENCES["DDIM"])) <= 1
    assert worst_difference(ours, zeros.ours(asked)) > 5


def test_the_model_is_told_the_size_and_what_is_pooled(
    sdxl: SideBySide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without either the picture would be another one: agreeing on it means something."""
    from underpaint.diffusion.stable_diffusion_xl import StableDiffusionXL

    usual = sdxl.ours(Asked())
    monkeypatch.setattr(StableDiffusionXL, "_times", lambda _model, _row: (512, 512, 0, 0, 512, 512))
    assert worst_difference(usual, sdxl.ours(Asked())) > 1


def test_an_autoencoder_with_mean_and_deviation_matches(make: Callable[..., Path], photo: Picture) -> None:
    spread = {"latents_mean": [0.2, -0.1, 0.0, 0.3], "latents_std": [1.5, 0.8, 1.1, 2.0]}
    both = SideBySide(make(**spread), architecture="sdxl", pipeline=PIPELINES)
    for asked in (Asked(), Asked(picture=photo, strength=0.5)):
        assert worst_difference(both.ours(asked), both.theirs(asked, REFERENCES["DDIM"])) <= 1


@pytest.mark.parametrize(
    ("architecture", "scheduler", "reference"),
    [
        ("sdxlturbo", "Euler a", ReferenceScheduler(class_name="EulerAncestralDiscreteScheduler")),
        ("sdxllightning", "Default", ReferenceScheduler(class_name="EulerDiscreteScheduler")),
        ("sdxlhyper", "DDIM", ReferenceScheduler(class_name="DDIMScheduler")),
    ],
)
def test_checkpoints_of_few_steps_count_them_from_the_noise(
    sdxl_checkpoint: Path, photo: Picture, architecture: str, scheduler: str, reference: ReferenceScheduler
) -> None:
    assert SDXL_SCHEDULER["timestep_spacing"] == "leading"
    both = SideBySide(sdxl_checkpoint, architecture=architecture, pipeline=PIPELINES)
    reference = replace(reference, options={"timestep_spacing": "trailing"})
    asked = Asked(scheduler=scheduler, steps=4, guidance_scale=1.0)
    for each in (asked, replace(asked, picture=photo, strength=0.5)):
        assert worst_difference(both.ours(each), both.theirs(each, reference)) <= 1


def test_the_mask_keeps_the_photo(sdxl: SideBySide, photo: Picture) -> None:
    ours = sdxl.ours(Asked(picture=photo, mask=half(), strength=0.8))
    assert np.array_equal(ours[:, :32], photo[:, :32])
