"""FLUX.1 Kontext gives what diffusers' pipelines give, to 1/255 a channel."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from tests.checkpoints import photo_like
from tests.engine.driving import Driven, job_request, worst_difference
from tests.reference.side_by_side import is_flat
from tests.reference.test_inpainting import half
from underpaint.diffusion.quiet import quiet_libraries
from underpaint.engine.messages import JobRequest, ModelReference, Picture

PROMPT, STEPS, SEED = "a red house by the sea, watercolor", 6, 3
REFERENCE = photo_like(64, 64)
WIDE = photo_like(96, 64)


def request(folder: Path, **more: Any) -> JobRequest:
    usual: dict[str, Any] = {
        "model": ModelReference(architecture="fluxkontextdev", location=folder),
        "prompt": PROMPT,
        "steps": STEPS,
        "seed": SEED,
        "guidance_scale": 2.5,
        "scheduler": "Default",
    }
    return job_request("only", folder, **{**usual, **more})


def ours(asked: JobRequest) -> Picture:
    driven = Driven()
    driven.finish(asked)
    return driven.picture(asked.job_id)


def theirs(folder: Path, asked: JobRequest, kind: str = "FluxKontextPipeline", **more: Any) -> Picture:
    with quiet_libraries():
        pipeline = getattr(diffusers, kind).from_pretrained(folder)
        pipeline.set_progress_bar_config(disable=True)
        made = pipeline(
            prompt=PROMPT,
            num_inference_steps=STEPS,
            guidance_scale=2.5,
            width=asked.width_px,
            height=asked.height_px,
            max_area=asked.width_px * asked.height_px,
            _auto_resize=False,
            generator=torch.Generator("cpu").manual_seed(SEED),
            **more,
        )
    return np.asarray(made.images[0])


@pytest.mark.parametrize(
    ("reference", "size"),
    [(REFERENCE, (64, 64)), (WIDE, (64, 64)), (REFERENCE, (96, 128))],
    ids=["alike", "wide", "another size"],
)
def test_a_reference_matches(kontext_checkpoint: Path, reference: Picture, size: tuple[int, int]) -> None:
    asked = request(kontext_checkpoint, reference_pictures=(reference,), width_px=size[0], height_px=size[1])
    painted = ours(asked)
    assert worst_difference(painted, theirs(kontext_checkpoint, asked, image=Image.fromarray(reference))) <= 1
    assert not is_flat(painted)
    assert worst_difference(painted, ours(replace(asked, reference_pictures=(255 - reference,)))) > 3


def test_without_references_it_matches(kontext_checkpoint: Path) -> None:
    asked = request(kontext_checkpoint)
    painted = ours(asked)
    assert worst_difference(painted, theirs(kontext_checkpoint, asked)) <= 1
    assert worst_difference(painted, ours(replace(asked, reference_pictures=(REFERENCE,)))) > 3


@pytest.mark.parametrize(
    ("references", "axis"), [((WIDE, WIDE), 2), ((REFERENCE, REFERENCE[::-1]), 2)], ids=["below", "square"]
)
def test_two_are_one_that_holds_both(
    kontext_checkpoint: Path, references: Sequence[Picture], axis: int
) -> None:
    """The pipeline takes one reference; latents of a whole that holds both are the same to it."""
    asked = request(kontext_checkpoint, reference_pictures=tuple(map(np.ascontiguousarray, references)))
    with quiet_libraries():
        vae = diffusers.AutoencoderKL.from_pretrained(kontext_checkpoint / "vae")
    with torch.no_grad():
        latents = [
            (vae.encode(_tensor(each)).latent_dist.mode() - vae.config.shift_factor)
            * vae.config.scaling_factor
            for each in asked.reference_pictures
        ]
    reference = theirs(kontext_checkpoint, asked, image=torch.cat(latents, dim=axis))
    assert worst_difference(ours(asked), reference) <= 1


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_inpainting_after_a_reference_matches(
    kontext_checkpoint: Path, photo: Picture, without_join: None, strength: float
) -> None:
    asked = request(
        kontext_checkpoint,
        picture=photo,
        mask=half(),
        strength=strength,
        reference_pictures=(WIDE,),
    )
    reference = theirs(
        kontext_checkpoint,
        asked,
        "FluxKontextInpaintPipeline",
        image=Image.fromarray(photo),
        mask_image=Image.fromarray(half()),
        image_reference=Image.fromarray(WIDE),
        strength=strength,
    )
    assert worst_difference(ours(asked), reference) <= 1


def _tensor(picture: Picture) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
