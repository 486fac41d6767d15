"""Several passes as one job: latents go on from one to the next, and every other job is left as it is."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from tests.engine.driving import Driven, job_request, worst_difference
from underpaint.engine.messages import JobRequest, Pass, Picture

Floats = NDArray[np.float64]


def one_pass(**more: Any) -> Pass:
    usual: dict[str, Any] = {
        "prompt": "a red house by the sea",
        "negative_prompt": "",
        "steps": 4,
        "guidance_scale": 7.5,
        "scheduler": "DDIM",
        "strength": 0.5,
    }
    return Pass(**{**usual, **more})


def several(folder: Path, photo: Picture | None, *further: Pass, **more: Any) -> JobRequest:
    return job_request("passes", folder, picture=photo, strength=0.5, further_passes=further, **more)


def painted(request: JobRequest, *beside: JobRequest, **options: Any) -> Picture:
    driven = Driven(**options)
    driven.finish(request, *beside)
    return driven.picture(request.job_id)


UNLIKE = (
    one_pass(scheduler="Heun", prompt="snow " * 80, strength=0.75),
    one_pass(scheduler="Euler a", guidance_scale=1.0, steps=6),
    one_pass(scheduler="DPM++ 2M SDE", negative_prompt="people", strength=1.0),
)
"""Of other orders, lengths of prompt, and numbers of rows."""


def test_each_pass_changes_the_picture(sd1_checkpoint: Path, photo: Picture) -> None:
    pictures = [painted(several(sd1_checkpoint, photo, *UNLIKE[:count])) for count in range(4)]
    for one, other in itertools.pairwise(pictures):
        assert worst_difference(one, other) > 10


def test_a_pass_of_strength_nothing_leaves_everything_as_it_is(sd1_checkpoint: Path, photo: Picture) -> None:
    idle = one_pass(strength=0.0)
    alone = painted(several(sd1_checkpoint, photo, UNLIKE[0]))
    assert np.array_equal(alone, painted(several(sd1_checkpoint, photo, idle, UNLIKE[0], idle)))


def test_passes_of_strength_nothing_give_the_photo_back(sd1_checkpoint: Path, photo: Picture) -> None:
    request = job_request(
        "idle", sd1_checkpoint, picture=photo, strength=0.0, further_passes=(one_pass(strength=0.0),)
    )
    assert np.array_equal(painted(request), photo)


def test_the_color_fix_gives_the_photos_colors_back(sd1_checkpoint: Path, photo: Picture) -> None:
    """Weights by chance: without it nothing of the photo's colors is left."""
    plain = several(sd1_checkpoint, photo, *UNLIKE[:1])
    drifted = painted(plain)
    fixed = painted(replace(plain, color_fix=True))

    def areas(picture: Picture) -> Floats:
        smooth: Floats = ndimage.gaussian_filter(picture.astype(np.float64), (4, 4, 0))
        return smooth

    def away(picture: Picture) -> float:
        return float(np.abs(areas(picture) - areas(photo)).mean())

    assert away(fixed) < away(drifted) / 4
    # What is finer than areas is still the model's.
    assert worst_difference(fixed, photo) > 10


def test_the_color_fix_leaves_a_photo_of_strength_nothing(sd1_checkpoint: Path, photo: Picture) -> None:
    request = job_request("idle", sd1_checkpoint, picture=photo, strength=0.0, color_fix=True)
    assert np.array_equal(painted(request), photo)


def test_an_idle_first_pass_hands_the_photo_on(sd1_checkpoint: Path, photo: Picture) -> None:
    """Seeds of stochastic samplers differ from pass to pass, so the one that runs draws nothing here."""
    handed = job_request(
        "handed", sd1_checkpoint, picture=photo, strength=0.0, further_passes=(one_pass(strength=0.5),)
    )
    plain = job_request("plain", sd1_checkpoint, picture=photo, strength=0.5)
    assert np.array_equal(painted(handed), painted(plain))


def test_without_a_photo_the_first_pass_is_from_text(sd1_checkpoint: Path) -> None:
    driven = Driven()
    driven.finish(several(sd1_checkpoint, None, one_pass(strength=0.5)), job_request("text", sd1_checkpoint))
    assert driven.finished("passes").steps_run == 4 + 2
    assert worst_difference(driven.picture("passes"), driven.picture("text")) > 10


def test_progress_counts_the_steps_of_all_passes(sd1_checkpoint: Path, photo: Picture) -> None:
    driven = Driven()
    driven.finish(several(sd1_checkpoint, photo, *UNLIKE))
    events = driven.progress("passes")
    assert {event.steps for event in events} == {2 + 3 + 3 + 4}
    counted = [event.step for event in events]
    assert counted == sorted(counted)
    assert set(counted) == set(range(13))
    assert driven.finished("passes").steps_run == 12


@pytest.mark.parametrize("mask_side", [0, 24])
def test_company_changes_nothing(sd1_checkpoint: Path, photo: Picture, mask_side: int) -> None:
    mask = None
    if mask_side:
        mask = np.zeros(photo.shape[:2], np.uint8)
        mask[:mask_side, :mask_side] = 255
    request = several(sd1_checkpoint, photo, *UNLIKE, mask=mask)
    beside = [
        job_request("text", sd1_checkpoint, steps=6, scheduler="Euler"),
        job_request("unguided", sd1_checkpoint, steps=6, picture=photo, strength=0.6, guidance_scale=1.0),
        job_request("longer", sd1_checkpoint, steps=20, picture=photo, strength=0.9, prompt="snow " * 80),
    ]
    alone = painted(request)
    together = Driven(max_rows=16)
    together.finish(request, *beside)
    assert worst_difference(together.picture("passes"), alone) <= 1
    for each in beside:
        assert worst_difference(together.picture(each.job_id), painted(each)) <= 1
    if mask is not None:
        assert np.array_equal(alone[mask == 0], photo[mask == 0])
        assert worst_difference(alone, photo) > 10


def test_a_prompt_that_cannot_be_read_fails_before_the_first_step(
    sd1_checkpoint: Path, photo: Picture
) -> None:
    driven = Driven()
    request = several(
        sd1_checkpoint, photo, one_pass(prompt='("a", "b").blend(1)'), prompt_weighting="compel"
    )
    driven.finish(request, job_request("well", sd1_checkpoint))
    failed = driven.failed("passes")
    assert failed.message
    assert all(event.step == 0 for event in driven.progress("passes"))
    assert driven.finished("well").steps_run == 4
