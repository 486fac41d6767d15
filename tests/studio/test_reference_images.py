"""Reference images of a task: what the engine is given, what a restart finds, and what is refused before acceptance."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.studio.conftest import STRANGER, Workplace, encoded, error_of, half_white, item_of, transformation
from tests.studio.test_restart import crash_while_working, question
from underpaint.catalog import NewModel, describe
from underpaint.catalog.installed import InstalledModels
from underpaint.images import read_parameters

KONTEXT = "runware:106@1"


@pytest.fixture
def open_editing(
    open_workplace: Callable[..., Workplace], kontext_checkpoint: Path
) -> Callable[..., Workplace]:
    """Opens studios that have Kontext installed."""

    def open_one(**settings: Any) -> Workplace:
        workplace = open_workplace(**settings)
        entry = describe(NewModel(air=KONTEXT, source=str(kontext_checkpoint)))
        InstalledModels(workplace.settings.data_dir).add(entry, replace=True)
        return workplace

    return open_one


@pytest.fixture
def editing(open_editing: Callable[..., Workplace]) -> Workplace:
    return open_editing()


def edit(**changes: Any) -> dict[str, Any]:
    """A task for Kontext, without a seed image."""
    return transformation(**{"model": KONTEXT, "seedImage": ..., "strength": ..., **changes})


def striped(height: int, width: int) -> str:
    stripes = np.zeros((height, width, 3), np.uint8)
    stripes[::2] = (250, 120, 3)
    stream = io.BytesIO()
    Image.fromarray(stripes).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


async def test_the_engine_gets_them_in_sizes_that_the_model_knows(editing: Workplace) -> None:
    uploaded = item_of(
        await editing.perform({"taskType": "imageUpload", "taskUUID": "u-1", "image": encoded((30, 20))})
    )
    task = edit(referenceImages=[encoded((2000, 2100), (1, 2, 3)), {"image": uploaded["imageUUID"]}])
    item_of(await editing.perform(task))
    [job] = editing.engine.jobs
    assert [picture.shape for picture in job.reference_pictures] == [(1024, 1024, 3), (832, 1248, 3)]
    assert (job.reference_pictures[0] == (1, 2, 3)).all()
    assert (job.width_px, job.height_px, job.picture, job.steps) == (128, 128, None, 10)


async def test_a_model_for_small_pictures_looks_at_small_ones(
    editing: Workplace, kontext_checkpoint: Path
) -> None:
    sizes = {"width_px": 64, "height_px": 64}
    new = NewModel(
        air="test:1@1", source=str(kontext_checkpoint), architecture="fluxkontextdev", defaults=sizes
    )
    InstalledModels(editing.settings.data_dir).add(describe(new))
    task = edit(model="test:1@1", referenceImages=[encoded((300, 200))], width=..., height=...)
    item_of(await editing.perform(task))
    [job] = editing.engine.jobs
    assert [picture.shape for picture in job.reference_pictures] == [(48, 64, 3)]
    assert (job.width_px, job.height_px) == (64, 48)


async def test_the_size_may_be_left_to_the_first(editing: Workplace) -> None:
    task = edit(
        inputs={"referenceImages": [encoded((300, 200)), encoded((9, 9))]},
        width=...,
        height=...,
        outputFormat="PNG",
    )
    item = item_of(await editing.perform(task))
    [job] = editing.engine.jobs
    assert (job.width_px, job.height_px) == (1248, 832)
    opened = await editing.studio.open_image(*item["imageURL"].rpartition("/")[2].split("."))
    assert opened is not None
    assert Image.open(io.BytesIO(opened.data)).size == (1248, 832)
    parameters = read_parameters(opened.data)
    assert parameters is not None
    assert (parameters["referenceImages"], parameters["width"]) == (2, 1248)


async def test_they_go_with_a_seed_image_a_mask_and_passes(editing: Workplace) -> None:
    for more in (
        {"seedImage": encoded(), "strength": 0.5},
        {"seedImage": encoded(), "strength": 0.5, "maskImage": half_white(), "maskMargin": 32},
        {"seedImage": encoded(), "passes": [{"strength": 0.5}, {"strength": 0.3}]},
        {"seedImage": encoded((64, 128)), "outpaint": {"left": 64}},
    ):
        item_of(await editing.perform(edit(referenceImages=[encoded()], **more)))
    assert all(len(job.reference_pictures) == 1 and job.picture is not None for job in editing.engine.jobs)


async def test_without_any_a_picture_is_made_from_text(editing: Workplace) -> None:
    item_of(await editing.perform(edit(CFGScale=None, steps=None)))
    [job] = editing.engine.jobs
    assert (job.reference_pictures, job.steps, job.guidance_scale) == ((), 28, 2.5)
    assert job.model.architecture == "fluxkontextdev"


async def test_after_a_crash_they_are_there_and_then_they_go(
    open_editing: Callable[..., Workplace],
) -> None:
    before = open_editing()
    task = edit(
        deliveryMethod="async",
        width=...,
        height=...,
        inputs={"referenceImages": [striped(16, 12), encoded()]},
    )
    await crash_while_working(before, task)
    [record] = before.journal.unfinished()
    kept = record.request["referenceImages"]
    assert [len(each) for each in kept] == [36, 36]
    assert "inputs" not in record.request

    after = open_editing()
    await after.studio.resume()
    await after.perform(question(task), hold_s=60)
    [first], [second] = before.engine.jobs, after.engine.jobs
    assert (first.width_px, first.height_px) == (second.width_px, second.height_px) == (880, 1184)
    for one, other in zip(first.reference_pictures, second.reference_pictures, strict=True):
        assert one.tobytes() == other.tobytes()
    assert first.checkpoint == second.checkpoint
    await after.studio.drain(grace_s=10)
    assert not [path for path in (after.settings.data_dir / "images").rglob("*") if path.stem in kept]


@pytest.mark.parametrize(
    ("changes", "code", "parameter"),
    [
        ({"model": "underpaint:1@2"}, "incompatibleParameters", ["referenceImages", "model"]),
        ({"referenceImages": [encoded()] * 3}, "invalidReferenceImages", "referenceImages"),
        (
            {"referenceImages": [encoded(), "bm8gcGljdHVyZQ=="]},
            "invalidReferenceImages",
            "referenceImages[1]",
        ),
        ({"referenceImages": [""]}, "invalidReferenceImages", "referenceImages[0]"),
        (
            {"referenceImages": ["ad1a9a6c-7b2b-4d0e-8a53-4c1f0f3a5d11"]},
            "invalidReferenceImages",
            "referenceImages[0]",
        ),
        ({"referenceImages": ["http://127.0.0.1:9/x.png"]}, "invalidReferenceImages", "referenceImages[0]"),
        (
            {"acceleratorOptions": {"deepCache": True}},
            "incompatibleParameters",
            ["acceleratorOptions.deepCache", "model"],
        ),
        ({"scheduler": "DDIM"}, "invalidScheduler", "scheduler"),
        ({"clipSkip": 1}, "invalidClipSkip", "clipSkip"),
        (
            {"seedImage": encoded((64, 64)), "outpaint": {"left": 64}, "width": ..., "height": ...},
            "incompatibleParameters",
            ["width", "outpaint"],
        ),
    ],
)
async def test_what_cannot_be_used_is_refused_with_its_place(
    editing: Workplace, changes: dict[str, Any], code: str, parameter: str | list[str]
) -> None:
    error = error_of(await editing.perform(edit(**{"referenceImages": [encoded()], **changes})))
    assert (error["code"], error["parameter"]) == (code, parameter)
    assert editing.engine.jobs == []
    assert editing.journal.unfinished() == []


async def test_pictures_of_others_do_not_exist(editing: Workplace) -> None:
    uploaded = item_of(
        await editing.perform({"taskType": "imageUpload", "taskUUID": "u-1", "image": encoded()}, STRANGER)
    )
    error = error_of(await editing.perform(edit(referenceImages=[uploaded["imageUUID"]])))
    assert (error["code"], error["parameter"]) == ("invalidReferenceImages", "referenceImages[0]")
    item_of(await editing.perform(edit(referenceImages=[uploaded["imageUUID"]]), STRANGER))
