"""controlNetPreprocess: sizes, what the preprocessors are given, what comes back, and restarts."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.studio.conftest import Workplace, encoded, error_of, item_of, transformation
from underpaint.engine.messages import Failed
from underpaint.studio.cancellation import Cancellation
from underpaint.studio.preprocessing import guide_size


def preprocess(**changes: Any) -> dict[str, Any]:
    return {
        "taskType": "controlNetPreprocess",
        "taskUUID": "0b6e8a30-0000-4000-8000-0000000000a1",
        "preProcessorType": "canny",
        "inputImage": encoded((150, 100)),
        "outputFormat": "PNG",
        **changes,
    }


@pytest.mark.parametrize(
    ("own", "width", "height", "expected"),
    [
        ((150, 100), None, None, (150, 100)),
        ((150, 100), 75, None, (75, 50)),
        ((150, 100), None, 20, (30, 20)),
        ((150, 100), 300, None, (150, 100)),
        ((150, 100), 60, 60, (60, 60)),
        # In the proportions asked for, as large as the picture allows.
        ((150, 100), 400, 400, (100, 100)),
        ((150, 100), 1024, 512, (150, 75)),
        ((8000, 400), None, None, (2048, 102)),
        ((8000, 400), None, 2048, (2048, 102)),
        ((5, 3000), None, 1000, (2, 1000)),
        ((1, 2048), None, 16, (1, 16)),
    ],
)
def test_a_guide_image_is_never_larger_than_its_picture(
    own: tuple[int, int], width: int | None, height: int | None, expected: tuple[int, int]
) -> None:
    assert guide_size(own, width=width, height=height) == expected


@pytest.mark.parametrize("name", ["controlNetPreprocess", "imageControlNetPreProcess"])
async def test_the_result_names_both_pictures_which_can_be_used_again(
    workplace: Workplace, name: str
) -> None:
    item = item_of(await workplace.perform(preprocess(taskType=name, includeCost=True, width=75)))
    assert set(item) == {
        *("taskType", "taskUUID", "guideImageUUID", "inputImageUUID", "guideImageURL", "cost"),
    }
    assert (item["taskType"], item["cost"]) == (name, 0)
    for number, uuid in enumerate((item["guideImageUUID"], item["inputImageUUID"])):
        painted = item_of(await workplace.perform(transformation(seedImage=uuid)))
        assert painted["imageUUID"] != uuid, number


async def test_it_comes_in_every_form_and_format(workplace: Workplace) -> None:
    item = item_of(
        await workplace.perform(
            preprocess(outputType=["base64Data", "dataURI"], outputFormat="WEBP", height=50)
        )
    )
    assert "guideImageURL" not in item
    picture = Image.open(io.BytesIO(base64.b64decode(item["guideImageBase64Data"])))
    assert (picture.format, picture.size) == ("WEBP", (75, 50))
    assert item["guideImageDataURI"] == f"data:image/webp;base64,{item['guideImageBase64Data']}"


async def test_what_canny_is_told_reaches_it(workplace: Workplace) -> None:
    item_of(await workplace.perform(preprocess(lowThresholdCanny=20, highThresholdCanny=90)))
    [request] = workplace.preprocessors.requests
    assert (request.kind, request.low_threshold, request.high_threshold) == ("canny", 20, 90)
    assert request.picture.shape == (100, 150, 3)


@pytest.mark.parametrize(
    ("changes", "code", "parameter"),
    [
        ({"inputImage": "0b6e8a30-0000-4000-8000-00000000000f"}, "invalidInputImage", "inputImage"),
        ({"inputImage": "not a picture!"}, "invalidInputImage", "inputImage"),
        ({"preProcessorType": "depth"}, "modelNotReady", "preProcessorType"),
        ({"preProcessorType": "seg"}, "modelNotReady", "preProcessorType"),
        ({"preProcessorType": "openpose"}, "modelNotReady", "preProcessorType"),
        ({"webhookURL": "http://127.0.0.1/hook"}, "invalidWebhookURL", "webhookURL"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name(
    workplace: Workplace, changes: dict[str, Any], code: str, parameter: str
) -> None:
    error = error_of(await workplace.perform(preprocess(**changes)))
    assert (error["code"], error["parameter"]) == (code, parameter)
    assert workplace.preprocessors.requests == []


async def test_networks_are_those_that_the_settings_name(
    open_workplace: Callable[..., Workplace], tmp_path: Path
) -> None:
    folder = tmp_path / "depth network"
    workplace = open_workplace(preprocessor_networks={"depth": str(folder)})
    error = error_of(await workplace.perform(preprocess(preProcessorType="normalbae")))
    assert error["code"] == "modelNotReady"
    assert str(tmp_path) not in error["message"]

    folder.mkdir()
    (folder / "config.json").write_text("{}")
    item_of(await workplace.perform(preprocess(preProcessorType="normalbae")))
    [request] = workplace.preprocessors.requests
    assert request.networks == {"depth": folder}


async def test_a_failure_is_the_tasks_and_it_may_be_sent_again(workplace: Workplace) -> None:
    workplace.preprocessors.failure = Failed(job_id="", code="modelLoad", message="it lacks weights")
    error = error_of(await workplace.perform(preprocess()))
    assert (error["code"], error["message"]) == ("modelNotReady", "it lacks weights")
    workplace.preprocessors.failure = None
    item_of(await workplace.perform(preprocess()))
    assert error_of(await workplace.perform(preprocess()))["code"] == "conflictTaskUUID"


async def test_an_asynchronous_task_is_polled_for_and_can_be_cancelled(workplace: Workplace) -> None:
    question = {"taskType": "getResponse", "taskUUID": preprocess()["taskUUID"]}
    workplace.preprocessors.holding = True
    accepted = item_of(
        await workplace.perform(preprocess(taskType="imageControlNetPreProcess", deliveryMethod="async"))
    )
    assert accepted == {"taskType": "imageControlNetPreProcess", "taskUUID": question["taskUUID"]}
    running = item_of(await workplace.perform(question))
    assert (running["status"], running["progress"]) == ("processing", 0)

    ended = item_of(await workplace.perform({**question, "taskType": "cancelTask"}))
    assert ended["status"] == "cancelled"
    assert error_of(await workplace.perform(question))["code"] == "taskCancelled"

    workplace.preprocessors.holding = False
    await workplace.perform(preprocess(deliveryMethod="async"))
    done = item_of(await workplace.perform(question, hold_s=60))
    assert (done["taskType"], done["status"]) == ("controlNetPreprocess", "success")
    assert "guideImageURL" in done


async def test_a_caller_who_has_gone_ends_a_synchronous_task(workplace: Workplace) -> None:
    cancellation = Cancellation()
    cancellation.request()
    workplace.preprocessors.holding = True
    error = error_of(await workplace.perform(preprocess(), cancellation=cancellation))
    assert error["code"] == "taskCancelled"


async def test_it_goes_on_after_a_restart(open_workplace: Callable[..., Workplace]) -> None:
    before = open_workplace()
    before.preprocessors.holding = True
    await before.perform(preprocess(deliveryMethod="async", width=60, lowThresholdCanny=7))
    await before.preprocessors.begun.wait()

    after = open_workplace()
    await after.studio.resume()
    question = {"taskType": "getResponse", "taskUUID": preprocess()["taskUUID"]}
    item = item_of(await after.perform(question, hold_s=60))
    [first], [second] = before.preprocessors.requests, after.preprocessors.requests
    assert (first.kind, first.low_threshold) == (second.kind, second.low_threshold)
    assert (first.picture == second.picture).all()
    assert (item["taskType"], item["status"]) == ("controlNetPreprocess", "success")


async def test_an_orderly_stop_leaves_it_for_the_next_start(open_workplace: Callable[..., Workplace]) -> None:
    before = open_workplace()
    before.preprocessors.holding = True
    await before.perform(preprocess(deliveryMethod="async"))
    await before.studio.drain(grace_s=0)

    after = open_workplace()
    await after.studio.resume()
    item = item_of(
        await after.perform({"taskType": "getResponse", "taskUUID": preprocess()["taskUUID"]}, hold_s=60)
    )
    assert item["status"] == "success"
