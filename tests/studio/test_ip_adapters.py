"""IP-Adapters of a task: what the engine is given, what a restart finds, and what is refused before acceptance."""

import base64
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.catalog.test_image_encoders import adapter_shapes, write_encoder_folder
from tests.catalog.weights import write_safetensors
from tests.studio.conftest import Workplace, encoded, error_of, item_of, kept, transformation
from tests.studio.test_restart import crash_while_working, question
from underpaint.catalog.describe import NewModel, describe
from underpaint.catalog.installed import InstalledModels
from underpaint.diffusion.layer_weights import NAMING_LAYERS
from underpaint.images import read_parameters
from underpaint.studio.requests import GUIDE_SIDE_PX


def install(workplace: Workplace, file: Path, air: str = "test:1@1", **shapes: Any) -> Path:
    write_safetensors(file, adapter_shapes(**shapes))
    InstalledModels(workplace.settings.data_dir).add(describe(NewModel(air=air, source=str(file))))
    return file


@pytest.fixture
def adapter(workplace: Workplace, tmp_path: Path) -> Path:
    """The file of test:1@1, with its encoder beside it."""
    write_encoder_folder(tmp_path / "adapters" / "image_encoder")
    return install(workplace, tmp_path / "adapters" / "adapter.safetensors")


def guided(guide: str | None = None, **more: Any) -> dict[str, Any]:
    return {"model": "test:1@1", "guideImage": guide or encoded(), **more}


async def test_the_engine_gets_files_pictures_and_weights(workplace: Workplace, adapter: Path) -> None:
    uploaded = item_of(
        await workplace.perform(
            {"taskType": "imageUpload", "taskUUID": "u-1", "image": encoded((30, 20), (1, 2, 3))}
        )
    )
    second = {
        "model": "test:1@1",
        "guideImages": [encoded((8, 8)), uploaded["imageUUID"]],
        "combineMethod": "average",
        "embedScaling": "only_v",
        "weightType": "ease_in",
        "weightComposition": 0.5,
        "weight": -0.3,
    }
    item_of(await workplace.perform(transformation(ipAdapters=[guided(weight=0.4), second])))
    [job] = workplace.engine.jobs
    one, two = job.image_prompts
    assert (one.air, one.location, one.encoder) == ("test:1@1", adapter, adapter.parent / "image_encoder")
    assert (one.weight, one.combination, one.scaling, one.weight_type) == (0.4, "concat", "kv", "normal")
    assert [picture.shape for picture in one.pictures] == [(64, 96, 3)]
    assert (two.weight, two.combination, two.scaling) == (-0.3, "average", "only_v")
    assert (two.weight_type, two.weight_composition) == ("ease_in", 0.5)
    assert [picture.shape for picture in two.pictures] == [(8, 8, 3), (20, 30, 3)]
    assert (two.pictures[1] == (1, 2, 3)).all()


async def test_large_guides_reach_the_engine_smaller(workplace: Workplace, adapter: Path) -> None:
    item_of(await workplace.perform(transformation(ipAdapters=[guided(encoded((3000, 1500)))])))
    [job] = workplace.engine.jobs
    [picture] = job.image_prompts[0].pictures
    assert picture.shape == (GUIDE_SIDE_PX // 2, GUIDE_SIDE_PX, 3)


async def test_they_go_without_a_seed_image(workplace: Workplace, adapter: Path) -> None:
    task = transformation(ipAdapters=[guided()])
    del task["seedImage"]
    item_of(await workplace.perform(task))
    [job] = workplace.engine.jobs
    assert job.picture is None
    assert len(job.image_prompts) == 1


async def test_the_picture_says_which(workplace: Workplace, adapter: Path) -> None:
    item = item_of(
        await workplace.perform(transformation(ipAdapters=[guided(weight=0.5)], outputFormat="PNG"))
    )
    opened = await workplace.studio.open_image(*item["imageURL"].rpartition("/")[2].split("."))
    assert opened is not None
    parameters = read_parameters(opened.data)
    assert parameters is not None
    assert parameters["ipAdapters"] == [
        {
            "model": "test:1@1",
            "weight": 0.5,
            "combineMethod": "concat",
            "embedScaling": "kv",
            "weightType": "normal",
            "weightComposition": 1.0,
        }
    ]


async def test_after_a_crash_the_guides_are_there_and_then_they_go(
    open_workplace: Callable[..., Workplace], tmp_path: Path
) -> None:
    before = open_workplace()
    write_encoder_folder(tmp_path / "adapters" / "image_encoder")
    install(before, tmp_path / "adapters" / "adapter.safetensors")
    stripes = np.zeros((10, 12, 3), np.uint8)
    stripes[::2] = (250, 120, 3)
    stream = io.BytesIO()
    Image.fromarray(stripes).save(stream, "PNG")
    guides = [base64.b64encode(stream.getvalue()).decode(), encoded((5, 5))]
    several = {"model": "test:1@1", "guideImages": guides, "weight": 0.7}
    task = transformation(deliveryMethod="async", ipAdapters=[several, guided()])
    await crash_while_working(before, task)
    [record] = before.journal.unfinished()
    files = [guide for adapter in record.request["ipAdapters"] for guide in adapter["guideImages"]]
    assert set(files) <= set(kept(before, "seed"))
    assert not any("guideImage" in adapter for adapter in record.request["ipAdapters"])

    after = open_workplace()
    await after.studio.resume()
    await after.perform(question(task), hold_s=60)
    [first], [second] = before.engine.jobs, after.engine.jobs
    for one, other in zip(first.image_prompts, second.image_prompts, strict=True):
        assert (one.air, one.weight, one.location) == (other.air, other.weight, other.location)
        for picture, again in zip(one.pictures, other.pictures, strict=True):
            assert picture.tobytes() == again.tobytes()
    assert first.image_prompts[0].pictures[0].tobytes() == stripes.tobytes()
    await after.studio.drain(grace_s=10)
    assert kept(after, "seed") == []


async def test_what_cannot_be_used_is_refused_with_its_place(
    workplace: Workplace, adapter: Path, tmp_path: Path
) -> None:
    folder = adapter.parent
    install(workplace, folder / "xl.safetensors", "test:2@1", architecture="sdxl")
    broken = install(workplace, folder / "broken.safetensors", "test:3@1")
    broken.write_bytes(broken.read_bytes()[:-4])
    install(workplace, folder / "other.safetensors", "test:4@1", encoded_width=1280)
    install(workplace, folder / "face.safetensors", "test:5@1", kind="face")
    refused = {
        "runware:55@5": "modelNotReady",
        "test:9@9": "invalidIpAdaptersModel",
        "underpaint:1@2": "invalidIpAdaptersModel",
        "test:2@1": "invalidIpAdaptersModel",
        "test:3@1": "invalidIpAdaptersModel",
        "test:4@1": "modelNotReady",
        "test:5@1": "invalidIpAdaptersModel",
    }
    for air, code in refused.items():
        task = transformation(ipAdapters=[guided(), guided(model=air)])
        error = error_of(await workplace.perform(task))
        assert (error["code"], error["parameter"]) == (code, "ipAdapters[1].model"), air
        assert str(tmp_path) not in error["message"]
    assert (
        "projection_dim is 1280"
        in error_of(await workplace.perform(transformation(ipAdapters=[guided(model="test:4@1")])))["message"]
    )
    shutil.rmtree(folder / "image_encoder")
    error = error_of(await workplace.perform(transformation(ipAdapters=[guided()])))
    assert (error["code"], error["parameter"]) == ("modelNotReady", "ipAdapters[0].model")
    assert workplace.engine.jobs == []


@pytest.mark.parametrize("kind", sorted(NAMING_LAYERS))
async def test_a_spread_that_names_layers_is_refused_where_the_model_has_others(
    workplace: Workplace, adapter: Path, kind: str
) -> None:
    task = transformation(ipAdapters=[guided(), guided(weightType=kind)])
    error = error_of(await workplace.perform(task))
    assert (error["code"], error["parameter"]) == (
        "invalidIpAdaptersWeightType",
        "ipAdapters[1].weightType",
    )
    assert "ease_in" in error["allowedValues"]
    assert kind not in error["allowedValues"]
    assert workplace.engine.jobs == []


@pytest.mark.parametrize(
    ("given", "code", "parameter"),
    [
        ({"guideImage": "bm8gcGljdHVyZQ=="}, "invalidIpAdaptersGuideImage", "ipAdapters[0].guideImage"),
        (
            {"guideImage": None, "guideImages": [encoded(), "bm8gcGljdHVyZQ=="]},
            "invalidIpAdaptersGuideImages",
            "ipAdapters[0].guideImages[1]",
        ),
        (
            {"guideImage": "ad1a9a6c-7b2b-4d0e-8a53-4c1f0f3a5d11"},
            "invalidIpAdaptersGuideImage",
            "ipAdapters[0].guideImage",
        ),
        (
            {"guideImage": "http://127.0.0.1:9/x.png"},
            "invalidIpAdaptersGuideImage",
            "ipAdapters[0].guideImage",
        ),
    ],
    ids=["no picture", "one of two", "unknown", "forbidden address"],
)
async def test_guides_are_read_like_seed_images(
    workplace: Workplace, adapter: Path, given: dict[str, Any], code: str, parameter: str
) -> None:
    error = error_of(await workplace.perform(transformation(ipAdapters=[{**guided(), **given}])))
    assert (error["code"], error["parameter"]) == (code, parameter)
    assert workplace.engine.jobs == []
    assert workplace.journal.unfinished() == []


async def test_redux_is_not_for_stable_diffusion(workplace: Workplace) -> None:
    error = error_of(await workplace.perform(transformation(ipAdapters=[guided(model="runware:105@1")])))
    assert (error["code"], error["parameter"]) == ("modelNotReady", "ipAdapters[0].model")
