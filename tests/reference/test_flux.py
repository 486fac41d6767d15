"""FLUX.1 through the engine and through diffusers' pipelines gives the same picture, to 1/255 a channel."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from tests.engine.driving import Driven, job_request
from tests.reference.side_by_side import Asked, is_flat, worst_difference
from tests.reference.test_inpainting import half
from underpaint.diffusion.quiet import quiet_libraries
from underpaint.diffusion.sampler import build_scheduler
from underpaint.diffusion.schedulers import FLOW_SCHEDULERS
from underpaint.engine.messages import ModelReference, Picture

ASKED = Asked(scheduler="Default", guidance_scale=3.5, steps=6)


class Both:
    """One checkpoint, loaded by the engine and by diffusers."""

    def __init__(self, folder: Path, architecture: str) -> None:
        self._model = ModelReference(architecture=architecture, location=folder)
        self._folder = folder
        self._tokens = 512 if architecture == "flux1d" else 256
        self._driven = Driven()
        with quiet_libraries():
            self._pipeline: Any = diffusers.FluxPipeline.from_pretrained(folder)
        self._pipeline.set_progress_bar_config(disable=True)
        self._own_config = dict(self._pipeline.scheduler.config)

    def ours(self, asked: Asked) -> Picture:
        self._driven.events.clear()
        said = {name: value for name, value in vars(asked).items() if name != "negative_prompt"}
        self._driven.finish(job_request("only", self._folder, **{**said, "model": self._model}))
        return self._driven.picture("only")

    def theirs(self, asked: Asked, **options: Any) -> Picture:
        arguments: dict[str, Any] = {
            "prompt": asked.prompt,
            "num_inference_steps": asked.steps,
            "guidance_scale": asked.guidance_scale,
            "generator": torch.Generator("cpu").manual_seed(asked.seed),
            "width": asked.width_px,
            "height": asked.height_px,
            "max_sequence_length": self._tokens,
        }
        pipeline = self._pipeline
        with quiet_libraries():
            if asked.scheduler in SCHEDULERS:
                pipeline.scheduler = diffusers.FlowMatchEulerDiscreteScheduler.from_config(
                    self._own_config, **options
                )
            else:
                pipeline.scheduler = _ours(asked, self._own_config)
            if asked.picture is not None:
                kind = "FluxImg2ImgPipeline" if asked.mask is None else "FluxInpaintPipeline"
                pipeline = getattr(diffusers, kind).from_pipe(pipeline)
                pipeline.set_progress_bar_config(disable=True)
                arguments.update(image=Image.fromarray(asked.picture), strength=asked.strength)
            if asked.mask is not None:
                arguments.update(mask_image=Image.fromarray(asked.mask))
            return np.asarray(pipeline(**arguments).images[0])


def _ours(asked: Asked, config: Mapping[str, Any]) -> Any:
    """Our sampler, told of the noise levels before the shift, of which the pipeline tells no solver of flows."""
    scheduler = build_scheduler(FLOW_SCHEDULERS[asked.scheduler], config, seed=asked.seed)
    lay_out, unshifted = scheduler.set_timesteps, np.linspace(1.0, 1.0 / asked.steps, asked.steps)

    def set_timesteps(*_: Any, sigmas: Any = None, mu: float | None = None, **__: Any) -> None:
        lay_out(sigmas=unshifted, mu=mu)

    scheduler.set_timesteps = set_timesteps
    return scheduler


@pytest.fixture(scope="module")
def dev(flux_checkpoint: Path) -> Both:
    return Both(flux_checkpoint, "flux1d")


@pytest.fixture(scope="module")
def schnell(schnell_checkpoint: Path) -> Both:
    return Both(schnell_checkpoint, "flux1s")


SCHEDULERS = {
    "Default": {},
    "FlowMatchEulerDiscreteScheduler": {},
    "Euler": {},
    "Euler Karras": {"use_karras_sigmas": True},
    "Euler Exponential": {"use_exponential_sigmas": True},
    "Euler Beta": {"use_beta_sigmas": True},
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_dev_matches_with_every_scheduler(dev: Both, photo: Picture, name: str) -> None:
    for asked in (
        replace(ASKED, scheduler=name),
        replace(ASKED, scheduler=name, picture=photo, strength=0.5),
    ):
        ours = dev.ours(asked)
        assert worst_difference(ours, dev.theirs(asked, **SCHEDULERS[name])) <= 1
        assert not is_flat(ours)


@pytest.mark.parametrize("name", ["DPM++ 3M Karras", "UniPC 2M", "Heun Karras"])
def test_its_pipeline_goes_the_same_way_with_our_samplers(dev: Both, photo: Picture, name: str) -> None:
    """diffusers' own classes of these names know less of flows: tests/diffusion holds ours to the exact solution."""
    from_text = replace(ASKED, scheduler=name)
    # The pipeline counts the evaluations of Heun's method as steps, where it begins with a picture.
    for asked in (
        from_text,
        *([replace(from_text, picture=photo, strength=0.5)] if "Heun" not in name else []),
    ):
        ours = dev.ours(asked)
        assert worst_difference(ours, dev.theirs(asked)) <= 1
        assert not is_flat(ours)


@pytest.mark.parametrize("strength", [0.2, 0.5, 0.7, 0.84, 1.0])
def test_dev_matches_image_to_image_at_every_strength(dev: Both, photo: Picture, strength: float) -> None:
    asked = replace(ASKED, steps=10, picture=photo, strength=strength)
    # diffusers truncates the step that it begins with where we round.
    runs = int(10 * strength + 0.5)
    assert worst_difference(dev.ours(asked), dev.theirs(replace(asked, strength=runs / 10))) <= 1


@pytest.mark.parametrize("picture", [False, True])
def test_schnell_matches(schnell: Both, photo: Picture, picture: bool) -> None:
    asked = replace(ASKED, steps=4, guidance_scale=0.0)
    if picture:
        asked = replace(asked, picture=photo, strength=0.75)
    ours = schnell.ours(asked)
    assert worst_difference(ours, schnell.theirs(asked)) <= 1
    assert not is_flat(ours)


@pytest.mark.parametrize(("width_px", "height_px"), [(96, 64), (64, 128), (256, 256)])
def test_the_schedule_shifts_with_the_size(dev: Both, width_px: int, height_px: int) -> None:
    asked = replace(ASKED, width_px=width_px, height_px=height_px)
    ours = dev.ours(asked)
    assert ours.shape == (height_px, width_px, 3)
    assert worst_difference(ours, dev.theirs(asked)) <= 1


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_inpainting_with_an_ordinary_checkpoint_matches(
    dev: Both, photo: Picture, monkeypatch: pytest.MonkeyPatch, strength: float
) -> None:
    monkeypatch.setattr("underpaint.engine.trajectory.join", lambda painted, *_: painted)
    asked = replace(ASKED, picture=photo, mask=half(), strength=strength)
    assert worst_difference(dev.ours(asked), dev.theirs(asked)) <= 1


def test_what_is_asked_for_shows(dev: Both) -> None:
    usual = dev.ours(ASKED)
    for other in (
        replace(ASKED, prompt="two blue dogs"),
        replace(ASKED, guidance_scale=8.0),
        replace(ASKED, seed=4),
        replace(ASKED, steps=7),
        replace(ASKED, scheduler="Euler Beta"),
    ):
        assert worst_difference(usual, dev.ours(other)) > 3, other
