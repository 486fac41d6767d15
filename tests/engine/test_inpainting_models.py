"""Models that see the mask, in company, in several passes, and interrupted."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.engine.driving import Driven, job_request, worst_difference
from tests.engine.test_inpainting import masked
from tests.engine.test_passes import one_pass
from underpaint.engine.messages import JobRequest, Picture


@pytest.fixture(scope="module")
def folder(make_checkpoint: Callable[..., Path]) -> Path:
    return make_checkpoint(in_channels=9)


def unlike(folder: Path, photo: Picture) -> list[JobRequest]:
    return [
        *(masked(number, folder, photo) for number in range(4)),
        job_request("text", folder, steps=6, scheduler="Euler"),
        job_request("picture", folder, steps=6, picture=photo, strength=0.6),
        job_request(
            "passes",
            folder,
            picture=photo,
            mask=masked(0, folder, photo).mask,
            strength=1.0,
            further_passes=(one_pass(strength=0.5, scheduler="Euler a"),),
        ),
    ]


def test_every_job_gives_in_company_what_it_gives_alone(folder: Path, photo: Picture) -> None:
    jobs = unlike(folder, photo)
    together = Driven(max_rows=16)
    together.finish(*jobs)
    for job in jobs:
        alone = Driven()
        alone.finish(job)
        picture = together.picture(job.job_id)
        assert worst_difference(picture, alone.picture(job.job_id)) <= 1
        if job.mask is not None:
            assert np.array_equal(picture[job.mask == 0], photo[job.mask == 0])


def test_strict_pictures_are_the_same_to_the_byte(folder: Path, photo: Picture) -> None:
    jobs = unlike(folder, photo)
    together = Driven(strict_rows=4)
    together.finish(*jobs)
    for job in (jobs[0], jobs[-1]):
        alone = Driven(strict_rows=4)
        alone.finish(job)
        assert np.array_equal(together.picture(job.job_id), alone.picture(job.job_id))
