import asyncio
import time
import uuid
from collections.abc import Callable
from typing import cast
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.studio.conftest import STRANGER, Workplace, encoded, error_of, item_of, transformation
from underpaint.engine.messages import Failed, RequestPart
from underpaint.studio.cancellation import Cancellation
from underpaint.studio.journal import TaskRecord
from underpaint.studio.pictures import OpenedImage
from underpaint.studio.room import Place
from underpaint.studio.run import Run
from underpaint.wire import TaskError


def question(task: dict[str, object], task_type: str = "getResponse") -> dict[str, object]:
    return {"taskType": task_type, "taskUUID": task["taskUUID"]}


async def test_an_acknowledgement_holds_nothing_else(workplace: Workplace) -> None:
    task = transformation(deliveryMethod="async")
    assert item_of(await workplace.perform(task)) == {
        "taskType": "imageInference",
        "taskUUID": task["taskUUID"],
    }


async def test_a_running_task_says_how_far_it_is(workplace: Workplace) -> None:
    workplace.engine.holding = True
    task = transformation(deliveryMethod="async")
    await workplace.perform(task)
    await workplace.engine.begun.wait()
    assert item_of(await workplace.perform(question(task))) == {
        "taskType": "imageInference",
        "taskUUID": task["taskUUID"],
        "status": "processing",
        "progress": 50,
    }
    workplace.engine.release()


async def test_an_unfinished_task_says_how_long_it_will_take(workplace: Workplace) -> None:
    workplace.engine.holding = workplace.engine.queueing = True
    task = transformation(deliveryMethod="async", numberResults=2)
    await workplace.perform(task)
    await workplace.engine.begun.wait()
    first, second = workplace.engine.jobs
    workplace.engine.estimates[first.job_id] = 3.0
    assert "secondsLeft" not in item_of(await workplace.perform(question(task)))
    workplace.engine.estimates[second.job_id] = 12.34
    item = item_of(await workplace.perform(question(task)))
    assert (item["status"], item["progress"], item["secondsLeft"]) == ("processing", 0, 12.3)
    workplace.engine.release()


async def test_with_signed_links_every_poll_gives_a_fresh_one(
    open_workplace: Callable[..., Workplace], monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace = open_workplace(sign_urls=True, signed_url_ttl_s=100)
    task = transformation()
    upload = {"taskType": "imageUpload", "taskUUID": str(uuid.uuid4()), "image": encoded()}
    for item in (item_of(await workplace.perform(task)), item_of(await workplace.perform(upload))):
        assert (await opened(workplace, item["imageURL"])).left_s == pytest.approx(100, abs=50)
        with pytest.raises(TaskError, match="no valid signature"):
            await opened(workplace, item["imageURL"].partition("&")[0])
    now_s = time.time()
    monkeypatch.setattr(workplace.pictures.links, "_clock", lambda: now_s + 1000)
    with pytest.raises(TaskError, match="expired"):
        await opened(workplace, item["imageURL"])
    again = item_of(await workplace.perform(question(task)))
    assert (await opened(workplace, again["imageURL"])).data


async def opened(workplace: Workplace, url: str) -> OpenedImage:
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    name, _, extension = urlsplit(url).path.rpartition("/")[2].partition(".")
    found = await workplace.studio.open_image(
        name, extension, expires=query["expires"], signed=query.get("signature", "")
    )
    assert found is not None
    return found


async def test_a_finished_task_gives_all_its_results_at_every_poll(workplace: Workplace) -> None:
    task = transformation(deliveryMethod="async", numberResults=2)
    await workplace.perform(task)
    first = await workplace.perform(question(task), hold_s=60)
    again = await workplace.perform(question(task))
    assert [item["status"] for item in first.data] == ["success", "success"]
    assert {item["taskType"] for item in first.data} == {"imageInference"}
    assert first.data == again.data


async def test_a_poll_gives_what_is_finished_so_far(workplace: Workplace) -> None:
    workplace.engine.holding = True
    task = transformation(deliveryMethod="async", numberResults=3)
    await workplace.perform(task)
    await workplace.engine.begun.wait()
    workplace.engine.release(1)
    while len((reply := await workplace.perform(question(task))).data) < 2:
        pass
    assert [item["status"] for item in reply.data] == ["success", "processing"]
    workplace.engine.release()


async def test_a_held_poll_waits_for_the_whole_task(workplace: Workplace) -> None:
    workplace.engine.holding = True
    task = transformation(deliveryMethod="async", numberResults=3)
    await workplace.perform(task)
    await workplace.engine.begun.wait()
    poll = asyncio.create_task(workplace.perform(question(task), hold_s=60))
    workplace.engine.release(1)
    while len((await workplace.perform(question(task))).data) < 2:
        pass
    assert not poll.done()
    workplace.engine.release()
    assert [item["status"] for item in (await poll).data] == ["success"] * 3


async def test_a_poll_that_was_held_in_vain_brings_no_results(workplace: Workplace) -> None:
    workplace.engine.holding = True
    task = transformation(deliveryMethod="async", numberResults=2)
    await workplace.perform(task)
    await workplace.engine.begun.wait()
    workplace.engine.release(1)
    while len((await workplace.perform(question(task))).data) < 2:
        pass
    reply = await workplace.perform(question(task), hold_s=0.01)
    assert [item["status"] for item in reply.data] == ["processing"]
    workplace.engine.release()


async def test_a_failed_task_answers_with_its_error(workplace: Workplace) -> None:
    workplace.engine.failure = Failed(job_id="", code="modelLoad", message="the weights are damaged")
    task = transformation(deliveryMethod="async")
    await workplace.perform(task)
    error = error_of(await workplace.perform(question(task), hold_s=5))
    assert (error["code"], error["status"]) == ("modelNotReady", "error")
    assert error["taskUUID"] == task["taskUUID"]
    assert "parameter" not in error


@pytest.mark.parametrize(
    ("part", "parameter"),
    [
        (RequestPart("model"), "model"),
        (RequestPart("refiner"), "refiner.model"),
        (RequestPart("vae"), "vae"),
        (RequestPart("loras", 1), "lora[1].model"),
        (RequestPart("embeddings", 0), "embeddings[0].model"),
        (RequestPart("image_prompts", 2), "ipAdapters[2].model"),
        (RequestPart("controls", 0), "controlNet[0].model"),
    ],
)
async def test_what_the_engine_refuses_names_its_parameter(
    workplace: Workplace, part: RequestPart, parameter: str
) -> None:
    workplace.engine.failure = Failed(job_id="", code="modelLoad", message="of another model", part=part)
    error = error_of(await workplace.perform(transformation()))
    assert (error["code"], error["parameter"], error["type"]) == ("modelNotReady", parameter, "string")


async def test_results_that_came_before_an_error_are_kept(workplace: Workplace) -> None:
    workplace.engine.holding = True
    task = transformation(deliveryMethod="async", numberResults=2)
    await workplace.perform(task)
    await workplace.engine.begun.wait()
    workplace.engine.release(1)
    while len((await workplace.perform(question(task))).data) < 2:
        pass
    workplace.engine.failure = Failed(job_id="", code="failed", message="no")
    workplace.engine.release()
    while not (reply := await workplace.perform(question(task))).errors:
        pass
    assert [item["status"] for item in reply.data] == ["success"]


async def test_synchronous_tasks_can_be_polled_too(workplace: Workplace) -> None:
    task = transformation()
    done = item_of(await workplace.perform(task))
    assert item_of(await workplace.perform(question(task)))["imageUUID"] == done["imageUUID"]


async def test_only_the_owner_is_answered(workplace: Workplace) -> None:
    task = transformation()
    await workplace.perform(task)
    reply = await workplace.perform(question(task), STRANGER)
    assert reply.errors[0][0] == 404
    assert error_of(reply)["code"] == "taskNotFound"


async def test_details_hold_the_request_and_the_whole_reply(workplace: Workplace) -> None:
    task = transformation(numberResults=2)
    answered = await workplace.perform(task)
    details = item_of(await workplace.perform(question(task, "getTaskDetails")))
    [request] = details["request"]
    assert request["positivePrompt"] == task["positivePrompt"]
    assert details["response"] == {"data": [dict(item) for item in answered.data]}


def test_a_task_whose_pictures_were_all_made_before_a_restart_is_almost_done() -> None:
    run = Run(cast("TaskRecord", None), (), cast("Cancellation", None), cast("Place", None), awaited=True)
    assert run.percent == 99
    assert run.over
