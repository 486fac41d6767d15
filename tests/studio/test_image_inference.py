import asyncio
import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.studio.conftest import (
    STRANGER,
    Workplace,
    encoded,
    error_of,
    item_of,
    open_result,
    transformation,
)
from underpaint.engine.messages import Failed
from underpaint.images import read_parameters


async def test_a_result_has_everything_that_clients_read(workplace: Workplace) -> None:
    task = transformation(includeCost=True)
    item = item_of(await workplace.perform(task))
    assert item["taskType"] == "imageInference"
    assert item["taskUUID"] == task["taskUUID"]
    assert item["imageUUID"] != task["taskUUID"]
    assert item["seed"] == 7
    assert item["cost"] == 0.0
    assert item["effectiveSteps"] == 5
    assert item["imageURL"] == f"http://studio.test/images/{item['imageUUID']}.jpg"
    picture = await open_result(workplace, item)
    assert (picture.format, picture.size) == ("JPEG", (128, 128))


async def test_the_seed_image_reaches_the_engine_fitted_to_the_size(workplace: Workplace) -> None:
    item_of(await workplace.perform(transformation(width=192, height=128)))
    [job] = workplace.engine.jobs
    assert job.picture is not None
    assert job.picture.shape == (128, 192, 3)
    assert (job.picture == (200, 40, 90)).all()


async def test_without_a_seed_image_a_picture_is_made_from_text(workplace: Workplace) -> None:
    item = item_of(await workplace.perform(transformation(seedImage=...)))
    assert workplace.engine.jobs[0].picture is None
    assert item["effectiveSteps"] == 10


async def test_strength_zero_gives_the_fitted_seed_image_back(workplace: Workplace) -> None:
    item = item_of(await workplace.perform(transformation(strength=0, outputFormat="PNG")))
    picture = await open_result(workplace, item)
    assert item["effectiveSteps"] == 0
    assert (np.asarray(picture) == (200, 40, 90)).all()


async def test_several_results_have_seeds_that_follow_one_another(workplace: Workplace) -> None:
    reply = await workplace.perform(transformation(numberResults=3))
    assert [item["seed"] for item in reply.data] == [7, 8, 9]
    assert len({item["imageUUID"] for item in reply.data}) == 3


async def test_after_the_largest_seed_comes_the_first(workplace: Workplace) -> None:
    reply = await workplace.perform(transformation(numberResults=2, seed=2**63 - 1))
    assert [item["seed"] for item in reply.data] == [2**63 - 1, 1]


async def test_a_drawn_seed_is_returned_and_reproduces_the_picture(workplace: Workplace) -> None:
    drawn = item_of(await workplace.perform(transformation(seed=..., outputFormat="PNG")))
    again = item_of(await workplace.perform(transformation(seed=drawn["seed"], outputFormat="PNG")))
    assert 1 <= drawn["seed"] < 2**32
    first, second = await open_result(workplace, drawn), await open_result(workplace, again)
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize(
    ("output_type", "keys"),
    [
        ("URL", {"imageURL"}),
        ("base64Data", {"imageBase64Data"}),
        ("dataURI", {"imageDataURI"}),
        (["URL", "base64Data", "dataURI"], {"imageURL", "imageBase64Data", "imageDataURI"}),
    ],
)
async def test_output_types(workplace: Workplace, output_type: Any, keys: set[str]) -> None:
    item = item_of(await workplace.perform(transformation(outputType=output_type, outputFormat="webp")))
    assert {key for key in item if key.startswith("image")} == keys | {"imageUUID"}
    if "imageBase64Data" in item:
        assert Image.open(io.BytesIO(base64.b64decode(item["imageBase64Data"]))).format == "WEBP"
    if "imageDataURI" in item:
        assert item["imageDataURI"].startswith("data:image/webp;base64,UklG")


@pytest.mark.parametrize("output_format", ["JPG", "PNG", "WEBP"])
async def test_results_carry_their_parameters(workplace: Workplace, output_format: str) -> None:
    item = item_of(
        await workplace.perform(transformation(outputFormat=output_format, outputType="base64Data"))
    )
    parameters = read_parameters(base64.b64decode(item["imageBase64Data"]))
    assert parameters is not None
    assert parameters["model"] == "underpaint:1@2"
    assert parameters["positivePrompt"] == "watercolor painting"
    assert (parameters["seed"], parameters["strength"], parameters["steps"]) == (7, 0.5, 10)


async def test_parameters_can_be_left_out_of_results(open_workplace: Callable[..., Workplace]) -> None:
    workplace = open_workplace(embed_parameters=False)
    item = item_of(await workplace.perform(transformation(outputType="base64Data", outputFormat="PNG")))
    assert read_parameters(base64.b64decode(item["imageBase64Data"])) is None


async def test_the_models_defaults_fill_in_what_a_task_leaves_out(workplace: Workplace) -> None:
    item_of(await workplace.perform(transformation(steps=..., strength=...)))
    [job] = workplace.engine.jobs
    assert (job.steps, job.guidance_scale, job.scheduler, job.strength) == (24, 7.0, "Default", 0.8)


async def test_a_result_is_the_seed_image_of_the_next_task(workplace: Workplace) -> None:
    first = item_of(await workplace.perform(transformation(outputFormat="PNG")))
    item_of(await workplace.perform(transformation(seedImage=first["imageUUID"])))
    picture = workplace.engine.jobs[1].picture
    assert picture is not None
    assert (picture == 7).all()


@pytest.mark.parametrize(
    ("changes", "code", "parameter"),
    [
        ({"model": "nobody:1@1"}, "invalidModel", "model"),
        ({"model": "runware:100@1"}, "modelNotReady", "model"),
        ({"scheduler": "FlowMatchEulerDiscreteScheduler"}, "invalidScheduler", "scheduler"),
        ({"seedImage": "00000000-0000-4000-8000-000000000000"}, "invalidSeedImage", "seedImage"),
        ({"seedImage": base64.b64encode(b"x" * 100).decode()}, "invalidSeedImage", "seedImage"),
        ({"seedImage": "http://127.0.0.1:9/photo.jpg"}, "invalidSeedImage", "seedImage"),
        ({"checkNSFW": True}, "unsupportedParameter", "checkNSFW"),
        ({"strength": 1.5}, "invalidStrength", "strength"),
    ],
)
async def test_a_bad_task_is_refused_before_any_work(
    workplace: Workplace, changes: dict[str, Any], code: str, parameter: str
) -> None:
    task = transformation(**changes)
    error = error_of(await workplace.perform(task))
    assert (error["code"], error["parameter"]) == (code, parameter)
    assert (error["taskUUID"], error["taskType"]) == (task["taskUUID"], "imageInference")
    assert workplace.engine.jobs == []
    assert workplace.journal.find("key-1", task["taskUUID"]) is None


async def test_the_schedulers_that_a_model_has_are_listed_when_another_is_asked_for(
    workplace: Workplace,
) -> None:
    error = error_of(await workplace.perform(transformation(scheduler="FlowMatchEulerDiscreteScheduler")))
    assert {"Default", "Euler a", "DPM++ 2M Karras"} <= set(error["allowedValues"])
    assert "FlowMatchEulerDiscreteScheduler" not in error["allowedValues"]


async def test_a_repeated_task_conflicts(workplace: Workplace) -> None:
    task = transformation()
    item_of(await workplace.perform(task))
    assert error_of(await workplace.perform(task))["code"] == "conflictTaskUUID"
    assert len(workplace.engine.jobs) == 1


async def test_two_tasks_of_one_uuid_at_the_same_time_run_once(workplace: Workplace) -> None:
    task = transformation()
    replies = await asyncio.gather(*(workplace.perform(task) for _ in range(5)))
    assert sum(len(reply.data) for reply in replies) == 1
    assert {error["code"] for reply in replies for _, error in reply.errors} == {"conflictTaskUUID"}


async def test_a_uuid_belongs_to_its_owner(workplace: Workplace) -> None:
    task = transformation()
    item_of(await workplace.perform(task))
    item_of(await workplace.perform(task, STRANGER))


async def test_a_failed_task_may_be_sent_again(workplace: Workplace) -> None:
    task = transformation()
    workplace.engine.failure = Failed(
        job_id="", code="failed", message="the engine could not make this picture"
    )
    assert error_of(await workplace.perform(task))["code"] == "inferenceError"
    workplace.engine.failure = None
    item_of(await workplace.perform(task))


async def test_a_full_queue_refuses_before_any_work(open_workplace: Callable[..., Workplace]) -> None:
    workplace = open_workplace(queue_limit=2)
    workplace.engine.holding = True
    item_of(await workplace.perform(transformation(numberResults=2, deliveryMethod="async")))
    refused = transformation()
    reply = await workplace.perform(refused)
    assert reply.errors[0][0] == 429
    assert error_of(reply)["code"] == "rateLimitExceeded"
    workplace.engine.release()


async def test_a_sync_task_that_takes_too_long_goes_on(open_workplace: Callable[..., Workplace]) -> None:
    workplace = open_workplace(sync_timeout_s=0.05)
    workplace.engine.holding = True
    task = transformation()
    reply = await workplace.perform(task)
    assert reply.errors[0][0] == 504
    workplace.engine.release()
    question = {"taskType": "getResponse", "taskUUID": task["taskUUID"]}
    assert item_of(await workplace.perform(question, hold_s=5))["status"] == "success"


async def test_a_caller_that_leaves_does_not_stop_its_task(workplace: Workplace) -> None:
    workplace.engine.holding = True
    task = transformation()
    call = asyncio.create_task(workplace.perform(task))
    await workplace.engine.begun.wait()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    workplace.engine.release()
    question = {"taskType": "getResponse", "taskUUID": task["taskUUID"]}
    assert item_of(await workplace.perform(question, hold_s=5))["imageURL"]


async def test_an_url_in_the_reply_does_not_serve_seed_images(workplace: Workplace) -> None:
    workplace.engine.holding = True
    task = transformation(deliveryMethod="async")
    item_of(await workplace.perform(task))
    record = workplace.journal.find("key-1", task["taskUUID"])
    assert record is not None
    assert await workplace.studio.open_image(record.request["seedImage"], "png") is None
    workplace.engine.release()


async def test_large_seed_images_are_not_kept_in_the_journal(workplace: Workplace) -> None:
    task = transformation(seedImage=encoded((1500, 1500)))
    item_of(await workplace.perform(task))
    record = workplace.journal.find("key-1", task["taskUUID"])
    assert record is not None
    assert len(str(record.request)) < 1000


async def test_a_server_may_run_tasks_without_the_check_that_they_ask_for(
    open_workplace: Callable[..., Workplace],
) -> None:
    item = item_of(await open_workplace(skip_nsfw_check=True).perform(transformation(checkNSFW=True)))
    assert "NSFWContent" not in item
