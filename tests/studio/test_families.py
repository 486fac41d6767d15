"""What a family cannot do is refused before a task is accepted."""

from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints_flux import write_flux_checkpoint
from tests.studio.conftest import Workplace, error_of, item_of, transformation
from underpaint.catalog import Catalog, NewModel, describe
from underpaint.studio.requests import RUNNABLE_ARCHITECTURES


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flux_checkpoint(tmp_path_factory.mktemp("flux") / "dev")


@pytest.fixture
def with_flux(workplace: Workplace, flux: Path) -> Workplace:
    installed = Catalog(workplace.settings, runnable=RUNNABLE_ARCHITECTURES).installed
    installed.add(describe(NewModel(air="runware:107@1", source=str(flux))))
    return workplace


async def test_flux_has_the_defaults_of_its_authors(with_flux: Workplace) -> None:
    item_of(await with_flux.perform(transformation(model="runware:107@1", steps=None, CFGScale=None)))
    [job] = with_flux.engine.jobs
    assert (job.model.architecture, job.steps, job.guidance_scale, job.scheduler) == (
        "flux1d",
        28,
        4.5,
        "Default",
    )


@pytest.mark.parametrize(
    ("changes", "code", "allowed"),
    [
        ({"promptWeighting": "compel"}, "invalidPromptWeighting", ["sdEmbeds"]),
        ({"clipSkip": 1}, "invalidClipSkip", [0]),
        ({"scheduler": "DDIM"}, "invalidScheduler", None),
        ({"refiner": {"model": "civitai:101055@128080"}}, "incompatibleParameters", None),
    ],
)
async def test_what_flux_does_not_have_is_refused(
    with_flux: Workplace, changes: dict[str, Any], code: str, allowed: list[object] | None
) -> None:
    error = error_of(await with_flux.perform(transformation(model="runware:107@1", **changes)))
    assert error["code"] == code
    if allowed is not None:
        assert error["allowedValues"] == allowed
    assert with_flux.engine.jobs == []
