"""FLUX.1's Fill, Canny and Depth give what diffusers' pipelines give, to 1/255 a channel."""

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from tests.checkpoints_flux import write_flux_checkpoint
from tests.engine.driving import Driven, job_request, worst_difference
from tests.reference.side_by_side import is_flat
from tests.reference.test_inpainting import half
from underpaint.diffusion.quiet import quiet_libraries
from underpaint.engine.messages import JobRequest, Mask, ModelReference, Picture

PROMPT, STEPS, SEED = "a red house by the sea, watercolor", 6, 3
FILL_CHANNELS, MAP_CHANNELS = 288, 32
"""What FLUX's 384 and 128 are with 4 channels of latents."""


@pytest.fixture(scope="module")
def fill(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flux") / "fill"
    return write_flux_checkpoint(folder, in_channels=FILL_CHANNELS, pipeline="FluxFillPipeline")


@pytest.fixture(scope="module")
def canny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flux") / "canny"
    return write_flux_checkpoint(folder, in_channels=MAP_CHANNELS, pipeline="FluxControlPipeline")


def ours(folder: Path, **more: Any) -> Picture:
    driven = Driven()
    driven.finish(request(folder, **more))
    assert driven.finished("only").steps_run == STEPS
    return driven.picture("only")


def request(folder: Path, **more: Any) -> JobRequest:
    usual: dict[str, Any] = {
        "model": ModelReference(architecture="flux1d", location=folder),
        "prompt": PROMPT,
        "steps": STEPS,
        "seed": SEED,
        "guidance_scale": 30.0,
        "scheduler": "Default",
    }
    return job_request("only", folder, **{**usual, **more})


def theirs(kind: str, folder: Path, **more: Any) -> Picture:
    with quiet_libraries():
        pipeline = getattr(diffusers, kind).from_pretrained(folder)
        pipeline.set_progress_bar_config(disable=True)
        made = pipeline(
            prompt=PROMPT,
            num_inference_steps=STEPS,
            guidance_scale=30.0,
            width=64,
            height=64,
            generator=torch.Generator("cpu").manual_seed(SEED),
            **more,
        )
    return np.asarray(made.images[0])


@pytest.mark.parametrize("shape", ["half", "hole"])
def test_fill_matches(fill: Path, photo: Picture, monkeypatch: pytest.MonkeyPatch, shape: str) -> None:
    monkeypatch.setattr("underpaint.engine.trajectory.join", lambda painted, *_: painted)
    mask: Mask = half()
    if shape == "hole":
        # Its edges lie within latents, which Fill sees pixel by pixel.
        mask = np.zeros((64, 64), np.uint8)
        mask[11:37, 18:51] = 255
    painted = ours(fill, picture=photo, mask=mask)
    reference = theirs(
        "FluxFillPipeline", fill, image=Image.fromarray(photo), mask_image=Image.fromarray(mask)
    )
    assert worst_difference(painted, reference) <= 1
    assert not is_flat(painted)


def test_fill_keeps_what_is_black_to_the_byte(fill: Path, photo: Picture) -> None:
    painted = ours(fill, picture=photo, mask=half())
    assert np.array_equal(painted[:, :32], photo[:, :32])
    other = photo.copy()
    other[:, :32] = 255 - other[:, :32]
    assert worst_difference(painted[:, 32:], ours(fill, picture=other, mask=half())[:, 32:]) > 3


def test_maps_match(canny: Path, photo: Picture) -> None:
    painted = ours(canny, picture=photo)
    reference = theirs("FluxControlPipeline", canny, control_image=Image.fromarray(photo))
    assert worst_difference(painted, reference) <= 1
    assert not is_flat(painted)
    assert worst_difference(painted, ours(canny, picture=255 - photo)) > 3


def test_tools_share_passes_and_change_nothing(fill: Path, photo: Picture) -> None:
    hole = np.zeros((64, 64), np.uint8)
    hole[11:37, 18:51] = 255
    wishes: dict[str, dict[str, Any]] = {
        "half": {"mask": half()},
        "hole": {"mask": hole, "seed": 5, "guidance_scale": 4.0, "steps": 4},
        "other photo": {"mask": half(), "picture": 255 - photo, "scheduler": "Euler Karras"},
    }
    together, alone = Driven(), Driven()
    requests = [
        job_request(name, fill, **{**_plain(request(fill, picture=photo)), **wish})
        for name, wish in wishes.items()
    ]
    together.finish(*requests)
    for each in requests:
        alone.finish(each)
        assert worst_difference(together.picture(each.job_id), alone.picture(each.job_id)) <= 1


def _plain(asked: JobRequest) -> dict[str, Any]:
    return {name: value for name, value in vars(asked).items() if name != "job_id"}
