"""LoRAs of a task: what the engine is given, what the picture says of them, and what is refused before acceptance."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.catalog.test_additions import lora_shapes
from tests.catalog.weights import write_safetensors
from tests.checkpoints import EMBEDDED_CHECKPOINT
from tests.studio.conftest import Workplace, error_of, item_of, transformation
from underpaint.catalog.describe import NewModel, describe
from underpaint.catalog.installed import InstalledModels
from underpaint.engine.messages import Addition
from underpaint.images import read_parameters


@pytest.fixture
def style(workplace: Workplace, tmp_path: Path) -> Path:
    """The file of test:1@1, whose own weight is 0.7."""
    return install(workplace, tmp_path / "style.safetensors", "test:1@1", default_weight=0.7)


def install(workplace: Workplace, file: Path, air: str, *, architecture: str = "sd1x", **more: Any) -> Path:
    write_safetensors(file, lora_shapes(architecture))
    entry = dataclasses.replace(describe(NewModel(air=air, source=str(file))), **more)
    InstalledModels(workplace.settings.data_dir).add(entry)
    return file


async def test_the_engine_gets_files_and_weights(workplace: Workplace, style: Path, tmp_path: Path) -> None:
    other = install(workplace, tmp_path / "other.safetensors", "test:2@1")
    lora = [{"model": "test:1@1"}, {"model": "test:2@1"}, {"model": "test:1@1", "weight": -2}]
    item_of(await workplace.perform(transformation(lora=lora)))
    [job] = workplace.engine.jobs

    assert job.loras == (
        Addition(air="test:1@1", location=style, weight=0.7),
        Addition(air="test:2@1", location=other, weight=1.0),
        Addition(air="test:1@1", location=style, weight=-2.0),
    )


async def test_the_picture_says_which(workplace: Workplace, style: Path) -> None:
    item = item_of(await workplace.perform(transformation(lora=[{"model": "test:1@1"}], outputFormat="PNG")))
    opened = await workplace.studio.open_image(*item["imageURL"].rpartition("/")[2].split("."))
    assert opened is not None
    parameters = read_parameters(opened.data)
    assert parameters is not None
    assert parameters["lora"] == [{"model": "test:1@1", "weight": 0.7}]


async def test_without_any_nothing_is_said(workplace: Workplace) -> None:
    item_of(await workplace.perform(transformation(lora=[])))
    [job] = workplace.engine.jobs
    assert job.loras == ()


def _break(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-4])


async def test_what_cannot_be_used_is_refused_with_its_place(
    workplace: Workplace, style: Path, tmp_path: Path
) -> None:
    install(workplace, tmp_path / "xl.safetensors", "test:2@1", architecture="sdxl")
    _break(install(workplace, tmp_path / "broken.safetensors", "test:3@1"))
    refused = {
        "civitai:82098@87153": "modelNotReady",
        "test:9@9": "invalidLoraModel",
        "underpaint:1@2": "invalidLoraModel",
        "test:2@1": "invalidLoraModel",
        "test:3@1": "invalidLoraModel",
    }
    for air, code in refused.items():
        task = transformation(lora=[{"model": "test:1@1"}, {"model": air}])
        error = error_of(await workplace.perform(task))
        assert (error["code"], error["parameter"]) == (code, "lora[1].model"), air
        assert str(tmp_path) not in error["message"]
    assert workplace.engine.jobs == []


async def test_one_that_fits_a_single_checkpoint_is_refused_with_another(
    workplace: Workplace, style: Path, tmp_path: Path
) -> None:
    install(workplace, tmp_path / "own.safetensors", "test:2@1", only_for="underpaint:1@2")
    mine = NewModel(air="mine:1@1", source=str(EMBEDDED_CHECKPOINT), architecture="sd1x")
    InstalledModels(workplace.settings.data_dir).add(describe(mine))
    lora = [{"model": "test:1@1"}, {"model": "test:2@1"}]
    error = error_of(await workplace.perform(transformation(model="mine:1@1", lora=lora)))
    assert (error["code"], error["parameter"]) == ("invalidLoraModel", "lora[1].model")
    assert "fits underpaint:1@2 alone, and not mine:1@1" in error["message"]
    assert workplace.engine.jobs == []
    for model in ("underpaint:1@2", "runware:101@1"):
        # The latter is an alias of the former.
        item_of(await workplace.perform(transformation(model=model, lora=lora)))


async def test_a_family_without_loras_refuses_them(
    workplace: Workplace, style: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE

    without = dataclasses.replace(FAMILY_OF_ARCHITECTURE["sd1x"], loras=False)
    monkeypatch.setattr(
        "underpaint.studio.model_checks.FAMILY_OF_ARCHITECTURE", {**FAMILY_OF_ARCHITECTURE, "sd1x": without}
    )
    error = error_of(await workplace.perform(transformation(lora=[{"model": "test:1@1"}])))
    assert (error["code"], error["parameter"]) == ("unsupportedParameter", "lora")
