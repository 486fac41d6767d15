"""Embeddings of a task: what the engine is given, what the picture says of them, and what is refused at once."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.catalog.weights import Shapes, write_safetensors
from tests.studio.conftest import Workplace, error_of, item_of, transformation
from underpaint.catalog.describe import NewModel, describe
from underpaint.catalog.installed import InstalledModels
from underpaint.engine.messages import Embedding
from underpaint.images import read_parameters

SD1: Shapes = {"emb_params": (4, 768)}


def install(workplace: Workplace, file: Path, air: str, shapes: Shapes = SD1, **more: Any) -> Path:
    write_safetensors(file, shapes)
    entry = dataclasses.replace(describe(NewModel(air=air, source=str(file))), **more)
    InstalledModels(workplace.settings.data_dir).add(entry)
    return file


@pytest.fixture
def toy(workplace: Workplace, tmp_path: Path) -> Path:
    """The file of test:1@1, whose own weight is 0.7 and whose name is toy."""
    return install(workplace, tmp_path / "toy.safetensors", "test:1@1", default_weight=0.7)


async def test_the_engine_gets_files_weights_and_words(
    workplace: Workplace, toy: Path, tmp_path: Path
) -> None:
    cat = install(workplace, tmp_path / "b.safetensors", "test:2@1", {"<cat>": (768,)})
    fog = install(workplace, tmp_path / "c.safetensors", "test:3@1", trigger_words="fog, mist", name="c")
    task = transformation(
        positivePrompt="a Toy, <cat>",
        negativePrompt="mist",
        embeddings=[{"model": "test:1@1"}, {"model": "test:2@1", "weight": -2}, {"model": "test:3@1"}],
    )
    item_of(await workplace.perform(task))
    [job] = workplace.engine.jobs
    assert job.embeddings == (
        Embedding(air="test:1@1", location=toy, weight=0.7, triggers=("toy",)),
        Embedding(air="test:2@1", location=cat, weight=-2.0, triggers=("<cat>",)),
        Embedding(air="test:3@1", location=fog, weight=1.0, triggers=("fog", "mist")),
    )


async def test_the_picture_says_which(workplace: Workplace, toy: Path) -> None:
    task = transformation(positivePrompt="a toy", embeddings=[{"model": "test:1@1"}], outputFormat="PNG")
    item = item_of(await workplace.perform(task))
    opened = await workplace.studio.open_image(*item["imageURL"].rpartition("/")[2].split("."))
    assert opened is not None
    parameters = read_parameters(opened.data)
    assert parameters is not None
    assert parameters["embeddings"] == [{"model": "test:1@1", "weight": 0.7}]


async def test_a_pass_may_name_it(workplace: Workplace, toy: Path) -> None:
    task = transformation(
        positivePrompt="a house",
        embeddings=[{"model": "test:1@1"}],
        passes=[{"positivePrompt": "a toy"}, {"strength": 0.3}],
    )
    item_of(await workplace.perform(task))


async def test_what_cannot_be_used_is_refused_with_its_place(
    workplace: Workplace, toy: Path, tmp_path: Path
) -> None:
    install(workplace, tmp_path / "xl.safetensors", "test:2@1", {"clip_l": (4, 768), "clip_g": (4, 1280)})
    broken = install(workplace, tmp_path / "broken.safetensors", "test:3@1")
    broken.write_bytes(broken.read_bytes()[:-4])
    install(workplace, tmp_path / "unnamed.safetensors", "test:4@1")
    refused = {
        "civitai:7808@9208": ("modelNotReady", "not installed"),
        "test:9@9": ("invalidEmbeddingsModel", "test:9@9"),
        "underpaint:1@2": ("invalidEmbeddingsModel", "is a checkpoint"),
        "test:2@1": ("invalidEmbeddingsModel", "is for sdxl"),
        "test:3@1": ("invalidEmbeddingsModel", "not a complete safetensors file"),
        "test:4@1": ("invalidEmbeddingsModel", "no prompt names: write 'unnamed'"),
    }
    for air, (code, said) in refused.items():
        task = transformation(
            positivePrompt="a toy, broken", embeddings=[{"model": "test:1@1"}, {"model": air}]
        )
        error = error_of(await workplace.perform(task))
        assert (error["code"], error["parameter"]) == (code, "embeddings[1].model"), air
        assert said in error["message"]
        assert str(tmp_path) not in error["message"]
    assert workplace.engine.jobs == []


async def test_a_prompt_has_room_for_so_many_vectors(workplace: Workplace, tmp_path: Path) -> None:
    """A letter may stand for dozens: without a bound, 3000 characters would be a hundred thousand tokens."""
    install(workplace, tmp_path / "x.safetensors", "test:2@1", {"emb_params": (75, 768)})
    asked = {"embeddings": [{"model": "test:2@1"}]}
    item_of(await workplace.perform(transformation(positivePrompt="x " * 40, **asked)))
    for place in ("positivePrompt", "negativePrompt"):
        error = error_of(await workplace.perform(transformation(**{place: "x " * 41}, **asked)))
        assert (error["code"], error["parameter"]) == ("invalidEmbeddingsModel", "embeddings[0].model")
        assert "75 vectors that a prompt names 41 times" in error["message"]


async def test_a_family_without_embeddings_refuses_them(
    workplace: Workplace, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE

    without = dataclasses.replace(FAMILY_OF_ARCHITECTURE["sd1x"], embeddings=False)
    monkeypatch.setattr(
        "underpaint.studio.model_checks.FAMILY_OF_ARCHITECTURE", {**FAMILY_OF_ARCHITECTURE, "sd1x": without}
    )
    task = transformation(positivePrompt="a toy", embeddings=[{"model": "test:1@1"}])
    error = error_of(await workplace.perform(task))
    assert (error["code"], error["parameter"]) == ("unsupportedParameter", "embeddings")
