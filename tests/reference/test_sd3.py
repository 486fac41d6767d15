"""Stable Diffusion 3 through the engine and through diffusers' pipelines gives the same picture, to 1/255 a channel."""

from collections.abc import Callable
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
from underpaint.engine.messages import Addition, ModelReference, Picture

ASKED = Asked(scheduler="Default", guidance_scale=5.0, steps=6)


class Both:
    """One checkpoint, loaded by the engine and by diffusers."""

    def __init__(self, folder: Path, *, t5: bool = True) -> None:
        self._model = ModelReference(architecture="sd3", location=folder)
        self._folder = folder
        self._driven = Driven()
        with quiet_libraries():
            self.pipeline: Any = diffusers.StableDiffusion3Pipeline.from_pretrained(
                folder, **({} if t5 else {"text_encoder_3": None, "tokenizer_3": None})
            )
        self.pipeline.set_progress_bar_config(disable=True)
        self._own_config = dict(self.pipeline.scheduler.config)

    def ours(self, asked: Asked, **more: Any) -> Picture:
        self._driven.events.clear()
        said = {**vars(asked), "model": self._model, **more}
        self._driven.finish(job_request("only", self._folder, **said))
        return self._driven.picture("only")

    def theirs(self, asked: Asked, **options: Any) -> Picture:
        arguments: dict[str, Any] = {
            "prompt": asked.prompt,
            "negative_prompt": asked.negative_prompt or None,
            "num_inference_steps": asked.steps,
            "guidance_scale": asked.guidance_scale,
            "generator": torch.Generator("cpu").manual_seed(asked.seed),
            "clip_skip": asked.clip_skip or None,
            "width": asked.width_px,
            "height": asked.height_px,
        }
        pipeline = self.pipeline
        with quiet_libraries():
            if asked.scheduler in SCHEDULERS:
                pipeline.scheduler = diffusers.FlowMatchEulerDiscreteScheduler.from_config(
                    self._own_config, **options
                )
            else:
                pipeline.scheduler = build_scheduler(
                    FLOW_SCHEDULERS[asked.scheduler], self._own_config, seed=asked.seed
                )
            if asked.picture is not None:
                kind = "Img2Img" if asked.mask is None else "Inpaint"
                pipeline = getattr(diffusers, f"StableDiffusion3{kind}Pipeline").from_pipe(pipeline)
                pipeline.set_progress_bar_config(disable=True)
                arguments.update(image=Image.fromarray(asked.picture), strength=asked.strength)
            if asked.mask is not None:
                # The inpainting pipeline forgets the autoencoder's shift when it decodes: that is done for it.
                arguments.update(mask_image=Image.fromarray(asked.mask), output_type="latent")
                vae = pipeline.vae
                latents = pipeline(**arguments).images / vae.config.scaling_factor + vae.config.shift_factor
                with torch.inference_mode():
                    decoded = vae.decode(latents).sample
                return np.asarray(pipeline.image_processor.postprocess(decoded)[0])
            return np.asarray(pipeline(**arguments).images[0])


@pytest.fixture(scope="module")
def medium(sd3_checkpoint: Path) -> Both:
    return Both(sd3_checkpoint)


SCHEDULERS = {
    "Default": {},
    "FlowMatchEulerDiscreteScheduler": {},
    "Euler": {},
    "Euler Karras": {"use_karras_sigmas": True},
    "Euler Exponential": {"use_exponential_sigmas": True},
    "Euler Beta": {"use_beta_sigmas": True},
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_it_matches_with_every_scheduler(medium: Both, photo: Picture, name: str) -> None:
    for asked in (
        replace(ASKED, scheduler=name),
        replace(ASKED, scheduler=name, picture=photo, strength=0.5),
    ):
        ours = medium.ours(asked)
        assert worst_difference(ours, medium.theirs(asked, **SCHEDULERS[name])) <= 1
        assert not is_flat(ours)


@pytest.mark.parametrize("name", ["DPM++ 3M Karras", "UniPC 2M", "Heun Karras"])
def test_its_pipeline_goes_the_same_way_with_our_samplers(medium: Both, photo: Picture, name: str) -> None:
    """diffusers' own classes of these names know less of flows: tests/diffusion holds ours to the exact solution."""
    for asked in (
        replace(ASKED, scheduler=name),
        replace(ASKED, scheduler=name, picture=photo, strength=0.5),
    ):
        ours = medium.ours(asked)
        assert worst_difference(ours, medium.theirs(asked)) <= 1
        assert not is_flat(ours)


@pytest.mark.parametrize("strength", [0.2, 0.5, 0.84, 1.0])
def test_it_matches_image_to_image_at_every_strength(medium: Both, photo: Picture, strength: float) -> None:
    asked = replace(ASKED, steps=10, picture=photo, strength=strength)
    # diffusers truncates the step that it begins with where we round.
    runs = int(10 * strength + 0.5)
    assert worst_difference(medium.ours(asked), medium.theirs(replace(asked, strength=runs / 10))) <= 1


@pytest.mark.parametrize(
    "change",
    [
        {"guidance_scale": 1.0},
        {"negative_prompt": ""},
        {"clip_skip": 1},
        {"width_px": 96},
        {"width_px": 64, "height_px": 128},
    ],
    ids=str,
)
def test_it_matches_however_it_is_asked(medium: Both, change: dict[str, Any]) -> None:
    asked = replace(ASKED, **change)
    ours = medium.ours(asked)
    assert ours.shape == (asked.height_px, asked.width_px, 3)
    assert worst_difference(ours, medium.theirs(asked)) <= 1


@pytest.mark.parametrize(
    "options", [{"t5": False}, {"dual_attention": True}, {"dynamic_shift": True}], ids=str
)
def test_other_checkpoints_of_the_family_match(
    make_sd3_checkpoint: Callable[..., Path], photo: Picture, options: dict[str, Any]
) -> None:
    both = Both(make_sd3_checkpoint(**options), t5=options.get("t5", True))
    for asked in (ASKED, replace(ASKED, picture=photo, strength=0.5)):
        ours = both.ours(asked)
        assert worst_difference(ours, both.theirs(asked)) <= 1
        assert not is_flat(ours)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_inpainting_matches(
    medium: Both, photo: Picture, monkeypatch: pytest.MonkeyPatch, strength: float
) -> None:
    monkeypatch.setattr("underpaint.engine.trajectory.join", lambda painted, *_: painted)
    asked = replace(ASKED, picture=photo, mask=half(), strength=strength)
    assert worst_difference(medium.ours(asked), medium.theirs(asked)) <= 1


def test_another_vae_matches(
    medium: Both, make_sd3_checkpoint: Callable[..., Path], photo: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_sd3_checkpoint(weights_seed=5) / "vae"
    vae = Addition(air="vae:1@1", location=other / "diffusion_pytorch_model.safetensors")
    asked = replace(ASKED, picture=photo, strength=0.5)
    ours = medium.ours(asked, vae=vae)
    assert worst_difference(ours, medium.theirs(asked)) > 10
    monkeypatch.setattr(medium.pipeline, "vae", diffusers.AutoencoderKL.from_pretrained(other))
    assert worst_difference(ours, medium.theirs(asked)) <= 1


def test_what_is_asked_for_shows(medium: Both) -> None:
    usual = medium.ours(ASKED)
    for other in (
        replace(ASKED, prompt="two blue dogs"),
        replace(ASKED, negative_prompt="cat, snow"),
        replace(ASKED, guidance_scale=8.0),
        replace(ASKED, clip_skip=1),
        replace(ASKED, seed=4),
        replace(ASKED, steps=7),
        replace(ASKED, scheduler="Euler Beta"),
    ):
        assert worst_difference(usual, medium.ours(other)) > 3, other
