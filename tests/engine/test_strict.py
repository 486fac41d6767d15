"""Strict determinism: byte-identical pictures in any company, by passes of one fixed number of rows."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from torch import Tensor

from tests.checkpoints import photo_like
from tests.engine.driving import Driven, job_request
from underpaint.diffusion.family import Row
from underpaint.diffusion.stable_diffusion import StableDiffusion
from underpaint.engine.messages import JobRequest, Pass, Picture

STRICT_ROWS = 4
SECOND_PASS = Pass(
    prompt="snow", negative_prompt="", steps=4, guidance_scale=1.0, scheduler="Euler a", strength=0.75
)
MIXES = 12


def unlike_jobs(folder: Path, photo: Picture) -> list[JobRequest]:
    """One size, and everything else different."""
    return [
        job_request("plain", folder, picture=photo, strength=0.5, seed=2),
        job_request("unguided", folder, picture=photo, strength=0.9, guidance_scale=1.0, seed=3),
        job_request("ancestral", folder, picture=photo, strength=0.7, scheduler="Euler a", steps=6, seed=4),
        job_request("from text", folder, scheduler="DPM++ 2M Karras", steps=3, seed=5),
        job_request("second order", folder, picture=photo, strength=1.0, scheduler="Heun", steps=3, seed=6),
        job_request("with a negative prompt", folder, negative_prompt="people", scheduler="UniPC", seed=7),
        job_request("in passes", folder, picture=photo, strength=0.5, further_passes=(SECOND_PASS,), seed=8),
    ]


@pytest.fixture(scope="module")
def alone(sd1_checkpoint: Path) -> dict[str, Picture]:
    pictures = {}
    for job in unlike_jobs(sd1_checkpoint, photo_like()):
        driven = Driven(strict_rows=STRICT_ROWS)
        driven.finish(job)
        pictures[job.job_id] = driven.picture(job.job_id)
    return pictures


@pytest.mark.parametrize("mix", range(MIXES))
def test_a_picture_is_the_same_to_the_byte_in_any_company(
    sd1_checkpoint: Path, photo: Picture, alone: dict[str, Picture], mix: int
) -> None:
    chance = random.Random(mix)
    jobs = unlike_jobs(sd1_checkpoint, photo)
    chance.shuffle(jobs)
    jobs = jobs[: chance.randint(2, len(jobs))]
    driven = Driven(strict_rows=STRICT_ROWS)
    for job in jobs:
        # Others are already under way when a job comes.
        driven.engine.submit([job])
        for _ in range(chance.randint(0, 3)):
            if driven.engine.busy:
                driven.engine.tick()
    while driven.engine.busy:
        driven.engine.tick()
    for job in jobs:
        assert driven.picture(job.job_id).tobytes() == alone[job.job_id].tobytes(), job.job_id


def test_every_pass_has_the_same_number_of_rows(
    sd1_checkpoint: Path, photo: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    predict = StableDiffusion.predict

    def counted(model: StableDiffusion, rows: Sequence[Row]) -> Tensor:
        sizes.append(len(rows))
        return predict(model, rows)

    monkeypatch.setattr(StableDiffusion, "predict", counted)
    Driven(strict_rows=STRICT_ROWS).finish(*unlike_jobs(sd1_checkpoint, photo))
    assert set(sizes) == {STRICT_ROWS}
