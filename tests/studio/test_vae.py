"""Another VAE of a task: what the engine is given, what the picture says, and what is refused before acceptance."""

import dataclasses
from pathlib import Path

import pytest

from tests.catalog.weights import write_safetensors
from tests.studio.conftest import Workplace, error_of, item_of, transformation
from underpaint.catalog.describe import NewModel, describe
from underpaint.catalog.installed import InstalledModels
from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.engine.messages import Addition
from underpaint.images import read_parameters


def install(workplace: Workplace, file: Path, air: str, architecture: str) -> Path:
    write_safetensors(file, {"encoder.conv_in.weight": (2, 2), "decoder.conv_in.weight": (2, 2)})
    entry = describe(NewModel(air=air, source=str(file), architecture=architecture, category="vae"))
    InstalledModels(workplace.settings.data_dir).add(entry)
    return file


async def test_the_engine_gets_it_and_the_picture_says_so(workplace: Workplace, tmp_path: Path) -> None:
    file = install(workplace, tmp_path / "vae.safetensors", "test:1@1", "sd1x")
    item = item_of(await workplace.perform(transformation(vae="test:1@1", outputFormat="PNG")))
    [job] = workplace.engine.jobs
    assert job.vae == Addition(air="test:1@1", location=file)
    opened = await workplace.studio.open_image(*item["imageURL"].rpartition("/")[2].split("."))
    assert opened is not None
    assert (read_parameters(opened.data) or {})["vae"] == "test:1@1"


async def test_what_cannot_be_used_is_refused(workplace: Workplace, tmp_path: Path) -> None:
    install(workplace, tmp_path / "xl.safetensors", "test:2@1", "sdxl")
    broken = install(workplace, tmp_path / "broken.safetensors", "test:3@1", "sd1x")
    broken.write_bytes(broken.read_bytes()[:-1])
    refused = {
        "civitai:276082@311162": "modelNotReady",
        "test:9@9": "invalidVae",
        "underpaint:1@2": "invalidVae",
        "test:2@1": "invalidVae",
        "test:3@1": "invalidVae",
    }
    for air, code in refused.items():
        error = error_of(await workplace.perform(transformation(vae=air)))
        assert (error["code"], error["parameter"]) == (code, "vae"), air
        assert str(tmp_path) not in error["message"]
    assert workplace.engine.jobs == []


async def test_a_family_with_its_own_only_refuses_it(
    workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(workplace, tmp_path / "vae.safetensors", "test:1@1", "sd1x")
    without = dataclasses.replace(FAMILY_OF_ARCHITECTURE["sd1x"], vae=False)
    monkeypatch.setattr(
        "underpaint.studio.model_checks.FAMILY_OF_ARCHITECTURE", {**FAMILY_OF_ARCHITECTURE, "sd1x": without}
    )
    error = error_of(await workplace.perform(transformation(vae="test:1@1")))
    assert (error["code"], error["parameter"]) == ("unsupportedParameter", "vae")
