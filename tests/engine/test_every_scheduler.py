"""Every scheduler name of every family in one engine with others, from text and from a picture."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints import PLAINEST_UNET
from tests.checkpoints_xl import write_sdxl_checkpoint
from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.engine.messages import JobRequest, ModelReference, Picture

from .driving import Driven, job_request, worst_difference

FAMILIES = ("sd1x", "sdxl", "flux1d", "sd3")


@pytest.fixture(scope="module")
def checkpoints(
    make_checkpoint: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
    flux_checkpoint: Path,
    sd3_checkpoint: Path,
) -> dict[str, Path]:
    """One for each family, the plainest: what is tested is not the network."""
    return {
        "sd1x": make_checkpoint(unet=PLAINEST_UNET),
        "sdxl": write_sdxl_checkpoint(
            tmp_path_factory.mktemp("checkpoints") / "plain",
            unet={**PLAINEST_UNET, "transformer_layers_per_block": 1, "attention_head_dim": 4},
        ),
        "flux1d": flux_checkpoint,
        "sd3": sd3_checkpoint,
    }


def jobs(architecture: str, folder: Path, photo: Picture) -> list[JobRequest]:
    """For each name text-to-image, and image-to-image at two strengths, of unlike lengths."""
    of_each: list[dict[str, Any]] = [
        {"steps": 3},
        {"steps": 5, "strength": 0.3, "picture": photo},
        {"steps": 4, "strength": 1.0, "picture": photo},
    ]
    return [
        job_request(
            f"{name} {kind}",
            folder,
            model=ModelReference(architecture=architecture, location=folder),
            scheduler=name,
            seed=position + 1,
            guidance_scale=(1.0, 2.0)[position % 2],
            **wishes,
        )
        for position, name in enumerate(FAMILY_OF_ARCHITECTURE[architecture].schedulers)
        for kind, wishes in enumerate(of_each)
    ]


def test_every_family_is_here() -> None:
    every = {family.module for family in FAMILY_OF_ARCHITECTURE.values()}
    assert {FAMILY_OF_ARCHITECTURE[name].module for name in FAMILIES} == every


@pytest.mark.parametrize("architecture", FAMILIES)
def test_every_name_in_company_gives_what_it_gives_alone(
    checkpoints: dict[str, Path], photo: Picture, architecture: str
) -> None:
    requests = jobs(architecture, checkpoints[architecture], photo)
    together, alone = Driven(max_rows=64), Driven(max_rows=2)
    together.finish(*requests)
    for request in requests:
        alone.finish(request)
        picture = together.picture(request.job_id)
        assert worst_difference(picture, alone.picture(request.job_id)) <= 1, request.job_id
        assert picture.std() > 10, request.job_id
