"""ControlNets of a task: what the engine is given, what a restart finds, and what is refused before acceptance."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.catalog.test_controlnets import controlnet_shapes, write_controlnet_folder
from tests.catalog.weights import write_safetensors
from tests.images.test_fetch import origin
from tests.studio.conftest import Workplace, encoded, error_of, item_of, kept, transformation
from tests.studio.test_model_upload import answer, upload
from tests.studio.test_restart import crash_while_working, question
from underpaint.catalog.describe import NewModel, describe
from underpaint.catalog.installed import InstalledModels
from underpaint.engine.messages import Control
from underpaint.images import fit_image, read_parameters


def install(workplace: Workplace, source: Path, air: str = "test:1@1", **said: Any) -> Path:
    InstalledModels(workplace.settings.data_dir).add(describe(NewModel(air=air, source=str(source), **said)))
    return source


@pytest.fixture
def folder(workplace: Workplace, tmp_path: Path) -> Path:
    """The folder of test:1@1."""
    return install(workplace, write_controlnet_folder(tmp_path / "nets" / "canny"))


def laid_out(guide: str | None = None, **more: Any) -> dict[str, Any]:
    return {"model": "test:1@1", "guideImage": guide or encoded((128, 192)), **more}


async def test_the_engine_gets_files_maps_and_spans(
    workplace: Workplace, folder: Path, tmp_path: Path
) -> None:
    file = write_safetensors(tmp_path / "nets" / "shuffle.safetensors", controlnet_shapes())
    install(workplace, file, "test:2@1", conditioning="shuffle")
    inpainting = write_safetensors(tmp_path / "nets" / "inpaint.safetensors", controlnet_shapes())
    install(workplace, inpainting, "test:3@1", conditioning="inpaint")
    uploaded = item_of(
        await workplace.perform(
            {"taskType": "imageUpload", "taskUUID": "u-1", "image": encoded((30, 20), (1, 2, 3))}
        )
    )
    second = {
        "model": "test:2@1",
        "guideImage": uploaded["imageUUID"],
        "weight": 0.3,
        "startStep": 6,
        "endStepPercentage": 80,
        "controlMode": "prompt",
    }
    third = laid_out(model="test:3@1", startStepPercentage=10, endStep=10)
    item_of(
        await workplace.perform(transformation(steps=20, controlNet=[laid_out(startStep=0), second, third]))
    )
    [job] = workplace.engine.jobs
    one, two, three = job.controls
    assert (one.air, one.location, one.weight, one.mode) == ("test:1@1", folder, 1.0, "balanced")
    assert (one.start, one.end, one.pools, one.hides_masked) == (0.0, 1.0, False, False)
    assert (two.air, two.location, two.weight, two.mode) == ("test:2@1", file, 0.3, "prompt")
    assert (two.start, two.end, two.pools, two.hides_masked) == (0.25, 0.8, True, False)
    assert (three.start, three.end, three.pools, three.hides_masked) == (0.1, 0.5, False, True)
    size = (job.height_px, job.width_px, 3)
    assert [control.map.shape for control in job.controls] == [size] * 3
    assert (two.map == (1, 2, 3)).all()


@pytest.mark.parametrize("fit", ["stretch", "cover", "contain"])
async def test_maps_are_fitted_as_seed_images_are(workplace: Workplace, folder: Path, fit: Any) -> None:
    slope = np.linspace(0, 255, 90 * 300 * 3).reshape(90, 300, 3).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(slope).save(stream, "PNG")
    guide = base64.b64encode(stream.getvalue()).decode()
    item_of(await workplace.perform(transformation(seedImage=guide, fit=fit, controlNet=[laid_out(guide)])))
    [job] = workplace.engine.jobs
    assert job.picture is not None
    assert job.controls[0].map.tobytes() == job.picture.tobytes()
    fitted = fit_image(Image.fromarray(slope), width_px=job.width_px, height_px=job.height_px, mode=fit)
    assert job.picture.tobytes() == fitted.tobytes()


async def test_they_go_without_a_seed_image_and_with_a_mask(workplace: Workplace, folder: Path) -> None:
    task = transformation(controlNet=[laid_out()])
    del task["seedImage"]
    item_of(await workplace.perform(task))
    item_of(await workplace.perform(transformation(maskImage=encoded(), controlNet=[laid_out()])))
    first, second = workplace.engine.jobs
    assert first.picture is None
    assert second.mask is not None
    assert len(first.controls) == len(second.controls) == 1


async def test_in_an_outpainting_the_map_is_of_the_whole(workplace: Workplace, folder: Path) -> None:
    task = transformation(
        width=192,
        height=128,
        seedImage=encoded((128, 128)),
        outpaint={"left": 64},
        controlNet=[laid_out(encoded((192, 128)))],
    )
    item_of(await workplace.perform(task))
    [job] = workplace.engine.jobs
    assert job.controls[0].map.shape == (128, 192, 3)


async def test_without_steps_of_its_own_the_models_count(workplace: Workplace, folder: Path) -> None:
    """The embedded model has 24."""
    item_of(await workplace.perform(transformation(steps=None, controlNet=[laid_out(startStep=13)])))
    [job] = workplace.engine.jobs
    assert job.controls[0].start == 0.5
    error = error_of(await workplace.perform(transformation(steps=None, controlNet=[laid_out(endStep=25)])))
    assert (error["code"], error["parameter"]) == ("invalidControlNetEndStep", "controlNet[0].endStep")
    assert "24" in error["message"]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({}, {}),
        ({"startStep": 0}, {}),
        ({"startStep": 6, "endStep": 15}, {"startStepPercentage": 25, "endStepPercentage": 75}),
        (
            {"startStepPercentage": 33, "endStepPercentage": 66},
            {"startStepPercentage": 33, "endStepPercentage": 66},
        ),
        ({"startStep": 1, "endStep": 20}, {}),
    ],
)
async def test_the_picture_says_which(
    workplace: Workplace, folder: Path, said: dict[str, Any], shown: dict[str, int]
) -> None:
    task = transformation(
        steps=20, outputFormat="PNG", controlNet=[laid_out(weight=0.5, controlMode="controlnet", **said)]
    )
    item = item_of(await workplace.perform(task))
    opened = await workplace.studio.open_image(*item["imageURL"].rpartition("/")[2].split("."))
    assert opened is not None
    parameters = read_parameters(opened.data)
    assert parameters is not None
    told = {"model": "test:1@1", "weight": 0.5, **shown, "controlMode": "controlnet"}
    assert parameters["controlNet"] == [told]


async def test_what_a_picture_says_asks_for_the_same_again(workplace: Workplace, folder: Path) -> None:
    spans: list[dict[str, Any]] = [
        {"startStep": 8, "endStep": 20},
        {"startStep": 2},
        {"startStepPercentage": 1, "endStep": 29},
    ]
    for said in spans:
        workplace.engine.jobs.clear()
        task = transformation(steps=30, outputFormat="PNG", controlNet=[laid_out(**said)])
        item = item_of(await workplace.perform(task))
        opened = await workplace.studio.open_image(*item["imageURL"].rpartition("/")[2].split("."))
        assert opened is not None
        parameters = read_parameters(opened.data)
        assert parameters is not None
        again = [{**control, "guideImage": encoded()} for control in parameters["controlNet"]]  # type: ignore[attr-defined]
        item_of(await workplace.perform(transformation(steps=30, controlNet=again)))
        first, second = workplace.engine.jobs
        assert [(one.start, one.end) for one in first.controls] == [
            (one.start, one.end) for one in second.controls
        ]


async def test_after_a_crash_the_maps_are_there_and_then_they_go(
    open_workplace: Callable[..., Workplace], tmp_path: Path
) -> None:
    before = open_workplace()
    install(before, write_controlnet_folder(tmp_path / "nets" / "canny"))
    stripes = np.zeros((128, 192, 3), np.uint8)
    stripes[::2] = (250, 120, 3)
    stream = io.BytesIO()
    Image.fromarray(stripes).save(stream, "PNG")
    guide = base64.b64encode(stream.getvalue()).decode()
    nulls = dict.fromkeys(
        ("startStep", "endStep", "startStepPercentage", "endStepPercentage", "preprocessor")
    )
    task = transformation(
        deliveryMethod="async", controlNet=[laid_out(guide, weight=0.7, **nulls), laid_out(endStep=3)]
    )
    await crash_while_working(before, task)
    [record] = before.journal.unfinished()
    maps = [controlnet["guideImage"] for controlnet in record.request["controlNet"]]
    assert set(maps) <= set(kept(before, "seed"))

    after = open_workplace()
    await after.studio.resume()
    await after.perform(question(task), hold_s=60)
    [first], [second] = before.engine.jobs, after.engine.jobs
    for one, other in zip(first.controls, second.controls, strict=True):
        assert facts(one) == facts(other)
        assert one.map.tobytes() == other.map.tobytes()
    assert len(np.unique(first.controls[0].map)) > 2
    await after.studio.drain(grace_s=10)
    assert kept(after, "seed") == []


def facts(control: Control) -> tuple[object, ...]:
    return control.air, control.location, control.weight, control.start, control.end, control.mode


async def test_what_cannot_be_used_is_refused_with_its_place(
    workplace: Workplace, folder: Path, tmp_path: Path
) -> None:
    nets = folder.parent
    install(workplace, write_controlnet_folder(nets / "xl", "sdxl"), "test:2@1")
    install(workplace, write_controlnet_folder(nets / "sd2", "sd2x"), "test:3@1")
    damaged = install(workplace, write_controlnet_folder(nets / "damaged"), "test:4@1")
    [file] = damaged.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-4])
    gone = install(workplace, write_controlnet_folder(nets / "gone"), "test:5@1")
    for path in gone.iterdir():
        path.unlink()
    refused = {
        "civitai:38784@44716": "modelNotReady",
        "runware:25@1": "modelNotReady",
        "test:9@9": "invalidControlNetModel",
        "underpaint:1@2": "invalidControlNetModel",
        "test:2@1": "invalidControlNetModel",
        "test:3@1": "invalidControlNetModel",
        "test:4@1": "invalidControlNetModel",
        "test:5@1": "invalidControlNetModel",
    }
    for air, code in refused.items():
        task = transformation(controlNet=[laid_out(), laid_out(model=air)])
        error = error_of(await workplace.perform(task))
        assert (error["code"], error["parameter"]) == (code, "controlNet[1].model"), air
        assert str(tmp_path) not in error["message"]
    lora = {"model": "test:1@1", "weight": 1.0}
    error = error_of(await workplace.perform(transformation(lora=[lora])))
    assert (error["code"], error["parameter"]) == ("invalidLoraModel", "lora[0].model")
    assert workplace.engine.jobs == []


@pytest.mark.parametrize(
    "guide",
    ["bm8gcGljdHVyZQ==", "ad1a9a6c-7b2b-4d0e-8a53-4c1f0f3a5d11", "http://127.0.0.1:9/x.png"],
    ids=["no picture", "unknown", "forbidden address"],
)
async def test_maps_are_read_like_seed_images(workplace: Workplace, folder: Path, guide: str) -> None:
    error = error_of(await workplace.perform(transformation(controlNet=[laid_out(), laid_out(guide)])))
    assert (error["code"], error["parameter"]) == ("invalidControlNetGuideImage", "controlNet[1].guideImage")
    assert workplace.engine.jobs == []
    assert workplace.journal.unfinished() == []


@pytest.mark.parametrize(
    ("said", "code", "member"),
    [
        ({"startStep": 5}, "invalidControlNetStartStep", "startStep"),
        ({"endStep": 5}, "invalidControlNetEndStep", "endStep"),
        ({"startStep": 3, "endStep": 2}, "invalidControlNetEndStep", "endStep"),
        (
            {"startStepPercentage": 50, "endStepPercentage": 40},
            "invalidControlNetEndStepPercentage",
            "endStepPercentage",
        ),
    ],
)
async def test_spans_are_checked_against_the_steps(
    workplace: Workplace, folder: Path, said: dict[str, Any], code: str, member: str
) -> None:
    error = error_of(await workplace.perform(transformation(steps=4, controlNet=[laid_out(**said)])))
    assert (error["code"], error["parameter"]) == (code, f"controlNet[0].{member}")


async def test_a_family_without_them_refuses_them(
    workplace: Workplace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE

    families = {**FAMILY_OF_ARCHITECTURE, "sd1x": FAMILY_OF_ARCHITECTURE["flux1d"]}
    monkeypatch.setattr("underpaint.studio.model_checks.FAMILY_OF_ARCHITECTURE", families)
    error = error_of(await workplace.perform(transformation(controlNet=[laid_out()])))
    assert (error["code"], error["parameter"]) == ("unsupportedParameter", "controlNet")


async def test_uploaded_and_found_by_its_conditioning(
    open_workplace: Callable[..., Workplace], tmp_path: Path
) -> None:
    workplace = open_workplace(model_upload_hosts="127.0.0.1", fetch_allow_private=True)
    file = write_safetensors(tmp_path / "net.safetensors", controlnet_shapes())
    changes = {"category": "controlnet", "type": None, "conditioning": "depth"}
    async with origin(answer(file.read_bytes())) as there:
        reply = await workplace.perform(upload(there.url, **changes))
    assert reply.data[-1]["status"] == "ready"
    for criteria, count in (
        ({"category": "controlnet"}, 1),
        ({"conditioning": "depth"}, 1),
        ({"conditioning": "canny"}, 0),
        ({"category": "checkpoint", "conditioning": "depth"}, 0),
    ):
        search = {"taskType": "modelSearch", "taskUUID": "s-1", **criteria}
        found = item_of(await workplace.perform(search))["results"]
        assert len(found) == count, criteria
        if found:
            assert (found[0]["category"], found[0]["conditioning"]) == ("controlnet", "depth")
    item_of(await workplace.perform(transformation(controlNet=[laid_out(model="mine:7@1")])))
    async with origin(answer(file.read_bytes())) as there:
        other = {**changes, "air": "mine:8@1", "architecture": "sdxl"}
        refused = error_of(await workplace.perform(upload(there.url, **other)))
    assert "sdxl" in refused["message"]
