"""upscale: sizes, what the engine is given, what comes back, and restarts."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.studio.conftest import CALLER, Workplace, encoded, error_of, item_of, kept, open_result
from tests.studio.test_preprocessing import preprocess
from underpaint.permissions import Limits


def upscale(**changes: Any) -> dict[str, Any]:
    return {
        "taskType": "upscale",
        "taskUUID": "0b6e8a30-0000-4000-8000-000000000001",
        "model": "underpaint:1@2",
        "inputImage": encoded((150, 100)),
        "outputFormat": "PNG",
        **changes,
    }


@pytest.mark.parametrize(
    ("size", "factor", "work", "final"),
    [
        ((150, 100), 2, (320, 192), (300, 200)),
        ((512, 512), 4, (2048, 2048), (2048, 2048)),
        ((600, 300), 4, (2048, 1024), (2400, 1200)),
        ((2000, 1000), 4, (2048, 1024), (4096, 2048)),
        ((30, 20), 2, (128, 128), (60, 40)),
    ],
)
async def test_the_model_works_at_a_size_it_can_and_the_result_has_its_own(
    workplace: Workplace, size: tuple[int, int], factor: int, work: tuple[int, int], final: tuple[int, int]
) -> None:
    item = item_of(await workplace.perform(upscale(inputImage=encoded(size), upscaleFactor=factor)))
    [job] = workplace.engine.jobs

    assert (job.width_px, job.height_px) == work
    assert job.picture is not None
    assert job.picture.shape == (work[1], work[0], 3)
    assert (await open_result(workplace, item)).size == final


async def test_settings_reach_the_engine(workplace: Workplace) -> None:
    settings = {"positivePrompt": "a cat", "negativePrompt": "fog", "strength": 0.5, "steps": 12, "seed": 9}
    item = item_of(await workplace.perform(upscale(settings=settings)))
    [job] = workplace.engine.jobs

    assert (job.prompt, job.negative_prompt, job.strength, job.steps) == ("a cat", "fog", 0.5, 12)
    assert (job.seed, item["seed"], item["effectiveSteps"]) == (9, 9, 6)
    assert job.guidance_scale > 1


async def test_colors_are_given_back_where_that_is_asked_for(workplace: Workplace) -> None:
    item_of(await workplace.perform(upscale(settings={"colorFix": True})))
    other = "0b6e8a30-0000-4000-8000-000000000002"
    item_of(await workplace.perform(upscale(taskUUID=other)))
    assert [job.color_fix for job in workplace.engine.jobs] == [True, False]


async def test_without_a_prompt_nothing_guides(workplace: Workplace) -> None:
    item_of(await workplace.perform(upscale()))
    assert (workplace.engine.jobs[0].prompt, workplace.engine.jobs[0].guidance_scale) == ("", 1.0)


async def test_strength_nothing_resamples(workplace: Workplace) -> None:
    item = item_of(await workplace.perform(upscale(settings={"strength": 0})))
    picture = (await open_result(workplace, item)).convert("RGB")
    assert picture.size == (300, 200)
    assert picture.getpixel((150, 100)) == (200, 40, 90)


@pytest.mark.parametrize("name", ["upscale", "imageUpscale"])
async def test_the_result_names_its_input_which_can_be_used_again(workplace: Workplace, name: str) -> None:
    first = item_of(await workplace.perform(upscale(taskType=name, includeCost=True)))
    assert (first["taskType"], first["cost"]) == (name, 0)
    again = item_of(
        await workplace.perform(
            upscale(
                taskType=name,
                taskUUID="0b6e8a30-0000-4000-8000-000000000002",
                inputImage=first["inputImageUUID"],
            )
        )
    )
    assert again["inputImageUUID"] == first["inputImageUUID"]
    assert again["imageUUID"] != first["imageUUID"]


@pytest.mark.parametrize(
    ("changes", "code", "parameter"),
    [
        ({"inputImage": "0b6e8a30-0000-4000-8000-00000000000f"}, "invalidInputImage", "inputImage"),
        ({"inputImage": "not a picture!"}, "invalidInputImage", "inputImage"),
        ({"model": "runware:500@1"}, None, "model"),
    ],
)
async def test_what_cannot_be_upscaled_is_refused_by_name(
    workplace: Workplace, changes: dict[str, Any], code: str | None, parameter: str
) -> None:
    error = error_of(await workplace.perform(upscale(**changes)))
    assert error["parameter"] == parameter
    assert code is None or error["code"] == code
    assert workplace.engine.jobs == []


@pytest.mark.parametrize("task", [upscale(), preprocess()], ids=["upscale", "controlNetPreprocess"])
async def test_of_a_task_that_is_refused_nothing_is_kept(task: dict[str, Any], workplace: Workplace) -> None:
    busy = replace(CALLER, limits=Limits(queued_tasks=1))
    workplace.engine.holding = workplace.preprocessors.holding = True
    await workplace.perform({**task, "taskUUID": str(uuid.uuid4()), "deliveryMethod": "async"}, busy)
    [first] = kept(workplace, "upload")
    assert error_of(await workplace.perform(task, busy))["code"] == "rateLimitExceeded"
    assert kept(workplace, "upload") == [first]
    # One that is somebody's already stays.
    assert (
        error_of(await workplace.perform({**task, "inputImage": first}, busy))["code"] == "rateLimitExceeded"
    )
    assert kept(workplace, "upload") == [first]


async def test_it_goes_on_after_a_restart(open_workplace: Callable[..., Workplace]) -> None:
    before = open_workplace()
    before.engine.holding = True
    await before.perform(upscale(deliveryMethod="async", settings={"strength": 0.5}))
    await before.engine.begun.wait()

    after = open_workplace()
    await after.studio.resume()
    question = {"taskType": "getResponse", "taskUUID": upscale()["taskUUID"]}
    item = item_of(await after.perform(question, hold_s=60))
    [first], [second] = before.engine.jobs, after.engine.jobs
    assert (first.seed, first.strength) == (second.seed, second.strength)
    assert first.picture is not None
    assert (first.picture == second.picture).all()
    assert (item["taskType"], item["status"]) == ("upscale", "success")
    assert (await open_result(after, item)).size == (300, 200)
