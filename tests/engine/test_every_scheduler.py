"""Every scheduler name in one engine with others, from text and from a picture."""

from pathlib import Path
from typing import Any

import pytest

from underpaint.diffusion.schedulers import STABLE_DIFFUSION_SCHEDULERS
from underpaint.engine.messages import JobRequest, Picture

from .driving import Driven, job_request, worst_difference

NAMES = tuple(STABLE_DIFFUSION_SCHEDULERS)
MIXES = [NAMES[start::6] for start in range(6)]


def jobs(folder: Path, names: tuple[str, ...], photo: Picture) -> list[JobRequest]:
    """For each name text-to-image, and image-to-image at two strengths, of unlike lengths."""
    of_each: list[dict[str, Any]] = [{}, {"strength": 0.3}, {"strength": 1.0}]
    return [
        job_request(
            f"{name} {kind}",
            folder,
            scheduler=name,
            steps=4 + (position + kind) % 4,
            picture=photo if wishes else None,
            seed=position + 1,
            **wishes,
        )
        for position, name in enumerate(names)
        for kind, wishes in enumerate(of_each)
    ]


@pytest.mark.parametrize("names", MIXES, ids=[names[0] for names in MIXES])
def test_every_name_in_company_gives_what_it_gives_alone(
    sd1_checkpoint: Path, photo: Picture, names: tuple[str, ...]
) -> None:
    requests = jobs(sd1_checkpoint, names, photo)
    together, alone = Driven(max_rows=16), Driven(max_rows=2)
    together.finish(*requests)
    for request in requests:
        alone.finish(request)
        picture = together.picture(request.job_id)
        assert worst_difference(picture, alone.picture(request.job_id)) <= 1, request.job_id
        assert picture.std() > 10, request.job_id
