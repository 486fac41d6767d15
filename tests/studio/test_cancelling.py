import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.studio.conftest import STRANGER, Workplace, encoded, error_of, item_of, kept, transformation
from underpaint.engine.messages import Failed
from underpaint.studio.caller import Reply
from underpaint.studio.cancellation import Cancellation
from underpaint.studio.pictures import Pictures
from underpaint.studio.preparing import Preparation


def about(task: Mapping[str, object], task_type: str = "cancelTask") -> dict[str, object]:
    return {"taskType": task_type, "taskUUID": task["taskUUID"]}


async def begin(workplace: Workplace, task: dict[str, object]) -> asyncio.Task[Reply]:
    """Send a task that does not come to its end by itself."""
    workplace.engine.holding = True
    workplace.engine.begun.clear()
    performing = asyncio.create_task(workplace.perform(task))
    await workplace.engine.begun.wait()
    return performing


async def test_a_cancelled_task_says_so_to_all_who_ask(workplace: Workplace) -> None:
    task = transformation()
    waiting = await begin(workplace, task)
    assert item_of(await workplace.perform(about(task))) == {
        "taskType": "cancelTask",
        "taskUUID": task["taskUUID"],
        "status": "cancelled",
    }
    error = error_of(await waiting)
    assert (error["code"], error["taskUUID"], error["taskType"]) == (
        "taskCancelled",
        task["taskUUID"],
        "imageInference",
    )
    polled = error_of(await workplace.perform(about(task, "getResponse")))
    assert polled == {**error, "status": "error"}


async def test_results_that_a_cancelled_task_had_stay(workplace: Workplace) -> None:
    task = transformation(deliveryMethod="async", numberResults=3)
    await begin(workplace, task)
    workplace.engine.release(1)
    while len((await workplace.perform(about(task, "getResponse"))).data) < 2:
        pass
    await workplace.perform(about(task))
    reply = await workplace.perform(about(task, "getResponse"))
    assert [item["status"] for item in reply.data] == ["success"]
    assert [item["code"] for _, item in reply.errors] == ["taskCancelled"]


async def test_who_waits_for_the_task_is_answered_before_who_cancels_it(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a client on the same connection could take the second answer for the task's."""
    reading, may_read, data_of = asyncio.Event(), asyncio.Event(), workplace.pictures.data_of

    async def slow_data_of(image_uuid: str, extension: str) -> bytes:
        reading.set()
        await may_read.wait()
        return await data_of(image_uuid, extension)

    task = transformation(numberResults=2, outputType="base64Data")
    waiting = await begin(workplace, task)
    workplace.engine.release(1)
    while len((await workplace.perform(about(task, "getResponse"))).data) < 2:
        pass
    monkeypatch.setattr(workplace.pictures, "data_of", slow_data_of)
    cancelling = asyncio.create_task(workplace.perform(about(task)))
    await reading.wait()
    await asyncio.wait({cancelling}, timeout=0.2)
    assert not cancelling.done()
    may_read.set()
    assert [item["code"] for _, item in (await waiting).errors] == ["taskCancelled"]
    assert item_of(await cancelling)["status"] == "cancelled"


async def test_a_cancelled_task_may_be_sent_again(workplace: Workplace) -> None:
    task = transformation()
    waiting = await begin(workplace, task)
    await workplace.perform(about(task))
    await waiting
    workplace.engine.holding = False
    assert item_of(await workplace.perform(task))["seed"] == 7


async def test_a_task_that_is_over_is_answered_with_how_it_ended(workplace: Workplace) -> None:
    task = transformation()
    done = item_of(await workplace.perform(task))
    assert item_of(await workplace.perform(about(task)))["status"] == "success"
    assert item_of(await workplace.perform(about(task, "getResponse")))["imageUUID"] == done["imageUUID"]

    cancelled = transformation()
    await begin(workplace, cancelled)
    for _ in range(2):
        assert item_of(await workplace.perform(about(cancelled)))["status"] == "cancelled"


async def test_a_task_that_failed_is_answered_with_error(workplace: Workplace) -> None:
    workplace.engine.failure = Failed(job_id="", code="failed", message="no")
    task = transformation()
    assert error_of(await workplace.perform(task))["code"] == "inferenceError"
    assert item_of(await workplace.perform(about(task)))["status"] == "error"


@pytest.mark.parametrize("sent", [True, False])
async def test_only_tasks_of_ones_own_can_be_cancelled(workplace: Workplace, sent: bool) -> None:
    task = transformation()
    waiting = await begin(workplace, task) if sent else None
    reply = await workplace.perform(about(task), STRANGER)
    assert reply.errors[0][0] == 404
    assert error_of(reply)["code"] == "taskNotFound"
    if waiting is not None:
        workplace.engine.release()
        assert item_of(await waiting)["seed"] == 7


async def test_other_tasks_go_on(workplace: Workplace) -> None:
    task, other = transformation(), transformation()
    waiting, going_on = await begin(workplace, task), await begin(workplace, other)
    await workplace.perform(about(task))
    assert error_of(await waiting)["code"] == "taskCancelled"
    workplace.engine.release()
    assert item_of(await going_on)["seed"] == 7


async def test_a_task_can_be_cancelled_while_its_seed_image_is_fetched(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching = asyncio.Event()

    async def fetch_without_end(*_: object) -> None:
        fetching.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Preparation, "prepare", fetch_without_end)
    task = transformation()
    waiting = asyncio.create_task(workplace.perform(task))
    await fetching.wait()
    assert item_of(await workplace.perform(about(task)))["status"] == "cancelled"
    assert error_of(await waiting)["code"] == "taskCancelled"
    # It was never accepted, and so leaves nothing to ask about.
    assert error_of(await workplace.perform(about(task, "getResponse")))["code"] == "taskNotFound"
    assert workplace.engine.jobs == []


@pytest.mark.parametrize(
    "asked",
    [
        {"taskType": "upscale", "model": "underpaint:1@2"},
        {"taskType": "controlNetPreprocess", "preProcessorType": "canny"},
    ],
)
async def test_a_task_can_be_cancelled_while_its_picture_is_kept(
    asked: dict[str, str], workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, keeping, go_on = Pictures.keep, asyncio.Event(), asyncio.Event()

    async def keep_slowly(self: Pictures, data: bytes, **options: Any) -> str:
        keeping.set()
        await go_on.wait()
        return await keep(self, data, **options)

    monkeypatch.setattr(Pictures, "keep", keep_slowly)
    task = {**asked, "taskUUID": str(uuid.uuid4()), "inputImage": encoded()}
    waiting = asyncio.create_task(workplace.perform(task))
    await keeping.wait()
    cancelling = asyncio.create_task(workplace.perform(about(task)))
    await asyncio.sleep(0)
    go_on.set()
    assert item_of(await cancelling)["status"] == "cancelled"
    assert error_of(await waiting)["code"] == "taskCancelled"
    assert error_of(await workplace.perform(about(task, "getResponse")))["code"] == "taskNotFound"
    assert (workplace.engine.jobs, workplace.preprocessors.requests) == ([], [])
    assert kept(workplace, "upload") == []


async def test_cancelling_takes_its_pictures_out_of_the_count(workplace: Workplace) -> None:
    workplace.engine.queueing = True
    task = transformation(deliveryMethod="async", numberResults=3)
    await begin(workplace, task)
    workplace.engine.queueing = False
    await begin(workplace, other := transformation(deliveryMethod="async", numberResults=2))
    status = workplace.studio.status()
    assert (status.waiting, status.running) == (3, 2)
    await workplace.perform(about(task))
    status = workplace.studio.status()
    assert (status.waiting, status.running) == (0, 2)
    await workplace.perform(about(other))
    status = workplace.studio.status()
    assert (status.waiting, status.running) == (0, 0)


async def test_finished_pictures_of_a_running_task_count_no_more(workplace: Workplace) -> None:
    task = transformation(deliveryMethod="async", numberResults=3)
    await begin(workplace, task)
    workplace.engine.release(2)
    while len((await workplace.perform(about(task, "getResponse"))).data) < 3:
        pass
    assert workplace.studio.status().running == 1
    workplace.engine.release()


async def test_a_task_that_a_stopping_server_let_go_of_does_not_go_on_after_its_cancellation(
    open_workplace: Callable[..., Workplace],
) -> None:
    stopping = open_workplace()
    task = transformation(deliveryMethod="async")
    await begin(stopping, task)
    await stopping.studio.drain(grace_s=0.0)
    assert item_of(await stopping.perform(about(task)))["status"] == "cancelled"
    after = open_workplace()
    await after.studio.resume()
    assert after.engine.jobs == []
    assert error_of(await after.perform(about(task, "getResponse")))["code"] == "taskCancelled"


class TestACallerThatHasGone:
    async def test_takes_its_synchronous_task_along(self, workplace: Workplace) -> None:
        workplace.engine.holding = True
        gone = Cancellation()
        waiting = asyncio.create_task(workplace.perform(transformation(), cancellation=gone))
        await workplace.engine.begun.wait()
        gone.request()
        assert error_of(await waiting)["code"] == "taskCancelled"

    async def test_leaves_an_asynchronous_task_behind(self, workplace: Workplace) -> None:
        workplace.engine.holding = True
        gone = Cancellation()
        task = transformation(deliveryMethod="async")
        await workplace.perform(task, cancellation=gone)
        await workplace.engine.begun.wait()
        gone.request()
        workplace.engine.release()
        assert item_of(await workplace.perform(about(task, "getResponse"), hold_s=60))["status"] == "success"

    async def test_may_have_gone_before_its_task_came_to_the_engine(self, workplace: Workplace) -> None:
        workplace.engine.holding = True
        gone = Cancellation()
        gone.request()
        assert (
            error_of(await workplace.perform(transformation(), cancellation=gone))["code"] == "taskCancelled"
        )
