"""The refiner of a task: what the engine is given, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints_xl import write_sdxl_checkpoint
from tests.studio.conftest import Workplace, error_of, item_of, transformation
from underpaint.catalog import Catalog, NewModel, describe
from underpaint.images import read_parameters
from underpaint.studio.requests import RUNNABLE_ARCHITECTURES


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sdxl")
    return {
        "test:1@1": write_sdxl_checkpoint(folder / "base"),
        "civitai:101055@128080": write_sdxl_checkpoint(folder / "refiner", refiner=True),
    }


@pytest.fixture
def with_sdxl(workplace: Workplace, checkpoints: dict[str, Path]) -> Workplace:
    installed = Catalog(workplace.settings, runnable=RUNNABLE_ARCHITECTURES).installed
    for air, folder in checkpoints.items():
        installed.add(describe(NewModel(air=air, source=str(folder))))
    return workplace


def asked(**refiner: Any) -> dict[str, Any]:
    return transformation(
        model="test:1@1", steps=20, refiner={"model": "civitai:101055@128080", **refiner}, outputFormat="PNG"
    )


@pytest.mark.parametrize(
    ("start", "steps_before"),
    [
        ({"startStep": 2}, 1),
        ({"startStep": 20}, 19),
        ({"startStepPercentage": 1}, 1),
        ({"startStepPercentage": 50, "startStep": None}, 10),
        ({"startStepPercentage": 99}, 19),
        ({}, 16),
    ],
)
async def test_where_the_refiner_begins(
    with_sdxl: Workplace, checkpoints: dict[str, Path], start: dict[str, Any], steps_before: int
) -> None:
    item = item_of(await with_sdxl.perform(asked(**start)))
    [job] = with_sdxl.engine.jobs
    assert job.refiner is not None
    assert job.refiner.start_step == steps_before
    assert job.refiner.model.location == checkpoints["civitai:101055@128080"]
    opened = await with_sdxl.studio.open_image(*item["imageURL"].rpartition("/")[2].split("."))
    assert opened is not None
    said = (read_parameters(opened.data) or {})["refiner"]
    assert said == {"model": "civitai:101055@128080", "startStep": steps_before + 1}


@pytest.mark.parametrize(
    ("changes", "code", "parameter"),
    [
        ({"model": "underpaint:1@2"}, "incompatibleParameters", ["refiner", "model"]),
        ({"steps": 1}, "incompatibleParameters", ["refiner", "steps"]),
        ({"refiner": {"model": "test:1@1"}}, "invalidRefinerModel", "refiner.model"),
        ({"refiner": {"model": "test:9@9"}}, "invalidRefinerModel", "refiner.model"),
        (
            {"refiner": {"model": "civitai:101055@128080", "startStep": 21}},
            "invalidRefinerStartStep",
            "refiner.startStep",
        ),
        ({"model": "civitai:101055@128080", "refiner": None}, "invalidModel", "model"),
    ],
    ids=["another family", "one step", "no refiner", "unknown", "after the end", "a refiner alone"],
)
async def test_what_cannot_be_is_refused(
    with_sdxl: Workplace, changes: dict[str, Any], code: str, parameter: str | list[str]
) -> None:
    error = error_of(await with_sdxl.perform({**asked(), **changes}))
    assert (error["code"], error["parameter"]) == (code, parameter)
    assert with_sdxl.engine.jobs == []
