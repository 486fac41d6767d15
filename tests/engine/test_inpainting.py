"""Masked jobs keep what their masks keep, and share passes with every other kind of job."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.masks import random_mask
from tests.engine.driving import Driven, job_request
from underpaint.engine.messages import JobRequest, Picture

SIDE_PX = 64


def masked(number: int, folder: Path, photo: Picture) -> JobRequest:
    schedulers = ("DDIM", "Euler a", "DPM++ 2M SDE", "Heun", "UniPC", "LCM")
    return job_request(
        f"mask {number}",
        folder,
        picture=photo,
        mask=random_mask(number, SIDE_PX),
        strength=(0.4, 0.8, 1.0)[number % 3],
        steps=4,
        scheduler=schedulers[number % len(schedulers)],
        guidance_scale=(7.5, 1.0)[number % 2],
        seed=number + 1,
    )


def test_a_hundred_masks_keep_every_black_pixel(sd1_checkpoint: Path, photo: Picture) -> None:
    requests = [masked(number, sd1_checkpoint, photo) for number in range(100)]
    driven = Driven(max_rows=16)
    driven.finish(*requests)

    changed = 0
    for request in requests:
        picture = driven.picture(request.job_id)
        assert request.mask is not None
        kept = request.mask == 0
        assert np.array_equal(picture[kept], photo[kept]), request.job_id
        changed += bool((picture[request.mask == 255] != photo[request.mask == 255]).any())
    assert changed > 80


@pytest.mark.parametrize("number", range(4))
def test_a_masked_job_gives_in_company_what_it_gives_alone(
    sd1_checkpoint: Path, photo: Picture, number: int
) -> None:
    request = masked(number, sd1_checkpoint, photo)
    beside = [
        job_request("text", sd1_checkpoint, steps=6, scheduler="Euler"),
        job_request("picture", sd1_checkpoint, steps=6, picture=photo, strength=0.6),
        masked(number + 7, sd1_checkpoint, photo),
    ]
    together, alone = Driven(max_rows=16), Driven()
    together.finish(request, *beside)
    alone.finish(request)

    difference = together.picture(request.job_id).astype(int) - alone.picture(request.job_id)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("number", range(4))
def test_with_a_margin_too_black_is_kept_and_company_changes_nothing(
    sd1_checkpoint: Path, photo: Picture, number: int
) -> None:
    request = replace(masked(number, sd1_checkpoint, photo), mask_margin_px=8)
    plain = masked(number, sd1_checkpoint, photo)
    beside = job_request("text", sd1_checkpoint, steps=6, scheduler="Euler")
    together, alone = Driven(max_rows=16), Driven()
    together.finish(request, beside)
    alone.finish(request)

    picture = alone.picture(request.job_id)
    assert request.mask is not None
    assert np.array_equal(picture[request.mask == 0], photo[request.mask == 0])
    assert np.abs(together.picture(request.job_id).astype(int) - picture).max() <= 1
    if number == 2:
        # A dot: enlarged, it is painted with other latents than at its own size.
        unzoomed = Driven()
        unzoomed.finish(plain)
        assert (unzoomed.picture(plain.job_id) != picture).any()


def test_a_white_mask_is_no_mask_but_for_the_start_from_noise(sd1_checkpoint: Path, photo: Picture) -> None:
    wishes = {"picture": photo, "strength": 0.5, "steps": 6, "scheduler": "DDIM"}
    white = np.full((SIDE_PX, SIDE_PX), 255, np.uint8)
    driven = Driven()
    driven.finish(
        job_request("masked", sd1_checkpoint, mask=white, **wishes),
        job_request("plain", sd1_checkpoint, **wishes),
    )

    assert np.abs(driven.picture("masked").astype(int) - driven.picture("plain")).max() <= 1
