"""SDXL's base and refiner, one after the other, give what diffusers' two pipelines give, to 1/255 a channel."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from tests.checkpoints_xl import write_sdxl_checkpoint
from tests.engine.driving import Driven, job_request, worst_difference
from tests.reference.side_by_side import is_flat
from underpaint.diffusion.quiet import quiet_libraries
from underpaint.engine.messages import JobRequest, ModelReference, Picture, Refiner

STEPS, SEED = 10, 3
PROMPT, NEGATIVE = "a red house by the sea, watercolor", "people, fog"


@pytest.fixture(scope="module")
def refiner_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sdxl_checkpoint(tmp_path_factory.mktemp("sdxl") / "refiner", refiner=True, weights_seed=1)


@pytest.fixture(scope="module")
def ask(sdxl_checkpoint: Path, refiner_checkpoint: Path) -> Callable[..., JobRequest]:
    def request(start_step: int, **more: Any) -> JobRequest:
        usual = {
            "model": ModelReference(architecture="sdxl", location=sdxl_checkpoint),
            "prompt": PROMPT,
            "negative_prompt": NEGATIVE,
            "steps": STEPS,
            "seed": SEED,
            "refiner": Refiner(
                model=ModelReference(architecture="sdxl", location=refiner_checkpoint), start_step=start_step
            ),
        }
        return job_request("only", sdxl_checkpoint, **{**usual, **more})

    return request


def theirs(
    base: Path, refiner: Path, scheduler: str, handover: float, picture: Picture | None, strength: float
) -> Picture:
    """diffusers' ensemble of experts: the base stops where the refiner begins, and hands its latents over."""
    generator = torch.Generator("cpu").manual_seed(SEED)
    asked: dict[str, Any] = {
        "prompt": PROMPT,
        "negative_prompt": NEGATIVE,
        "num_inference_steps": STEPS,
        "guidance_scale": 7.5,
        "generator": generator,
    }
    with quiet_libraries():
        kind = "Img2Img" if picture is not None else ""
        first = getattr(diffusers, f"StableDiffusionXL{kind}Pipeline").from_pretrained(base)
        second = diffusers.StableDiffusionXLImg2ImgPipeline.from_pretrained(refiner)
        for pipeline in (first, second):
            pipeline.set_progress_bar_config(disable=True)
            pipeline.scheduler = getattr(diffusers, scheduler).from_config(pipeline.scheduler.config)
        options: dict[str, Any] = {"width": 64, "height": 64}
        if picture is not None:
            options = {"image": Image.fromarray(picture), "strength": strength}
        latents = first(**asked, **options, denoising_end=handover, output_type="latent").images
        return np.asarray(second(**asked, image=latents, denoising_start=handover).images[0])


SCHEDULERS = {
    "DDIM": "DDIMScheduler",
    "Euler": "EulerDiscreteScheduler",
    "Euler a": "EulerAncestralDiscreteScheduler",
    "DPM++ 2M": "DPMSolverMultistepScheduler",
    "UniPC": "UniPCMultistepScheduler",
}


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("start_step", [3, 8])
def test_text_to_image_matches(
    ask: Callable[..., JobRequest],
    sdxl_checkpoint: Path,
    refiner_checkpoint: Path,
    name: str,
    start_step: int,
) -> None:
    driven = Driven()
    driven.finish(ask(start_step, scheduler=name))
    ours = driven.picture("only")
    reference = theirs(
        sdxl_checkpoint, refiner_checkpoint, SCHEDULERS[name], start_step / STEPS, None, strength=1.0
    )
    assert worst_difference(ours, reference) <= 1
    assert not is_flat(ours)


@pytest.mark.parametrize("name", ["DDIM", "Euler a"])
def test_image_to_image_matches(
    ask: Callable[..., JobRequest], sdxl_checkpoint: Path, refiner_checkpoint: Path, photo: Picture, name: str
) -> None:
    driven = Driven()
    driven.finish(ask(8, scheduler=name, picture=photo, strength=0.6))
    reference = theirs(sdxl_checkpoint, refiner_checkpoint, SCHEDULERS[name], 0.8, photo, strength=0.6)
    assert worst_difference(driven.picture("only"), reference) <= 1
    assert driven.finished("only").steps_run == 6
