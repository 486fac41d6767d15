import asyncio

from tests.studio.conftest import STRANGER, Workplace, error_of, item_of, transformation
from underpaint.engine.messages import Failed


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
