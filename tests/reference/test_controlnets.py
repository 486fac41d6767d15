"""ControlNets through the engine and through diffusers' own pipelines for them, to 1/255 a channel."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.checkpoints import photo_like
from tests.controlnets import write_controlnet
from tests.diffusion.test_lora import networks_of
from tests.reference.side_by_side import Asked, SideBySide, is_flat, worst_difference
from tests.reference.test_parity import REFERENCES
from underpaint.engine.messages import Control, Picture

EDGES = np.ascontiguousarray(photo_like()[::-1])
DEPTHS = np.ascontiguousarray(photo_like()[:, :, :1].repeat(3, axis=2))
MASK = np.zeros((64, 64), np.uint8)
MASK[16:48, 8:40] = 255


@pytest.fixture(autouse=True)
def unpasted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures as the model decodes them, as diffusers gives them: comparable where the mask is black, too."""
    monkeypatch.setattr("underpaint.engine.trajectory.join", lambda painted, _original, _mask: painted)


def check(both: SideBySide, asked: Asked) -> None:
    """Agreement on a picture that is another one without the ControlNets, and another with other maps."""
    ours = both.ours(asked)
    assert worst_difference(ours, both.theirs(asked, REFERENCES[asked.scheduler])) <= 1
    assert worst_difference(ours, both.ours(replace(asked, controls=()))) > 10
    turned = tuple(replace(control, map=255 - control.map) for control in asked.controls)
    assert worst_difference(ours, both.ours(replace(asked, controls=turned))) > 3
    assert not is_flat(ours)


def controls_in(folder: Path, unet: Any) -> Sequence[Control]:
    return [
        Control(
            air=f"test:{seed}@1", location=write_controlnet(folder / f"net {seed}", unet, seed=seed), map=map
        )
        for seed, map in enumerate((EDGES, DEPTHS))
    ]


@pytest.fixture(scope="module")
def sd1_controls(sd1_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Sequence[Control]:
    return controls_in(tmp_path_factory.mktemp("sd1"), networks_of(sd1_checkpoint)["unet"])


@pytest.fixture(scope="module")
def sdxl_controls(sdxl_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Sequence[Control]:
    return controls_in(tmp_path_factory.mktemp("sdxl"), networks_of(sdxl_checkpoint, xl=True)["unet"])


def ways(picture: Picture) -> dict[str, dict[str, Any]]:
    return {
        "text to image": {},
        "image to image": {"picture": picture, "strength": 0.6, "scheduler": "Euler a"},
        "inpainting": {"picture": picture, "mask": MASK, "strength": 0.8},
        "all of the noise": {"picture": picture, "mask": MASK, "strength": 1.0},
        "unguided": {"guidance_scale": 1.0},
        "second order": {"scheduler": "Heun"},
    }


WAYS = [*ways(EDGES)]


@pytest.mark.parametrize("way", WAYS)
def test_one_matches(sd1: SideBySide, sd1_controls: Sequence[Control], photo: Picture, way: str) -> None:
    check(sd1, Asked(controls=(replace(sd1_controls[0], weight=0.8),), **ways(photo)[way]))


@pytest.mark.parametrize("way", WAYS[:3])
def test_two_match(sd1: SideBySide, sd1_controls: Sequence[Control], photo: Picture, way: str) -> None:
    first, second = sd1_controls
    both = (replace(first, weight=0.5), replace(second, weight=0.7))
    check(sd1, Asked(controls=both, **ways(photo)[way]))


@pytest.mark.parametrize("way", [*WAYS[:3], "unguided"])
def test_guess_mode_matches(
    sd1: SideBySide, sd1_controls: Sequence[Control], photo: Picture, way: str
) -> None:
    check(sd1, Asked(controls=(replace(sd1_controls[0], mode="controlnet"),), **ways(photo)[way]))


@pytest.mark.parametrize(
    ("way", "start", "end"),
    [
        ("text to image", 0.0, 0.5),
        ("text to image", 0.3, 1.0),
        ("text to image", 0.25, 0.66),
        ("image to image", 0.5, 1.0),
        ("image to image", 0.2, 0.7),
        ("second order", 0.05, 0.5),
    ],
)
def test_they_act_in_the_same_steps(
    sd1: SideBySide, sd1_controls: Sequence[Control], photo: Picture, way: str, start: float, end: float
) -> None:
    span = (replace(sd1_controls[0], start=start, end=end), replace(sd1_controls[1], weight=0.2, end=0.9))
    asked = Asked(controls=span, **ways(photo)[way])
    ours = sd1.ours(asked)
    assert worst_difference(ours, sd1.theirs(asked, REFERENCES[asked.scheduler])) <= 1
    throughout = tuple(replace(control, start=0.0, end=1.0) for control in span)
    assert worst_difference(ours, sd1.ours(replace(asked, controls=throughout))) > 3


@pytest.mark.parametrize(("way", "count"), [(way, 1) for way in WAYS[:4]] + [(way, 2) for way in WAYS[:3]])
def test_sdxl_matches(
    sdxl: SideBySide, sdxl_controls: Sequence[Control], photo: Picture, way: str, count: int
) -> None:
    controls = (replace(sdxl_controls[0], weight=0.6), replace(sdxl_controls[1], weight=0.4, end=0.8))
    check(sdxl, Asked(controls=controls[:count], **ways(photo)[way]))


def test_an_inpainting_checkpoint_matches(
    inpainting: SideBySide, sd1_controls: Sequence[Control], photo: Picture
) -> None:
    check(inpainting, Asked(controls=(sd1_controls[0],), **ways(photo)["inpainting"]))


def test_a_pooling_one_matches(
    sd1: SideBySide, sd1_checkpoint: Path, make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    unet = networks_of(sd1_checkpoint)["unet"]
    shuffling = write_controlnet(tmp_path / "shuffle", unet, strength=1.0, global_pool_conditions=True)
    check(sd1, Asked(controls=(Control(air="test:1@1", location=shuffling, map=EDGES, weight=0.9),)))
