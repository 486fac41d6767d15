"""The queue has bounds, for everybody together and for each key, and refuses before any work."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from tests.studio.conftest import CALLER, STRANGER, Workplace, error_of, item_of, transformation
from underpaint.permissions import Limits
from underpaint.studio.caller import Caller

PIXELS = 128 * 128


def limited(**limits: int) -> Caller:
    return replace(CALLER, limits=Limits(**limits))


async def test_tasks_that_come_at_once_do_not_exceed_the_queue_together(
    open_workplace: Callable[..., Workplace],
) -> None:
    workplace = open_workplace(queue_limit=3)
    workplace.engine.holding = True
    replies = await asyncio.gather(
        *(workplace.perform(transformation(deliveryMethod="async")) for _ in range(20))
    )
    assert sum(bool(reply.data) for reply in replies) == 3
    assert {error_of(reply)["code"] for reply in replies if reply.errors} == {"rateLimitExceeded"}
    workplace.engine.release()


async def test_a_refused_task_leaves_no_trace_and_its_place_is_free(
    open_workplace: Callable[..., Workplace],
) -> None:
    workplace = open_workplace(queue_limit=1)
    for _ in range(3):
        refused = transformation(seedImage="AAAA")
        assert error_of(await workplace.perform(refused))["code"] == "invalidSeedImage"
        assert workplace.journal.find(CALLER.owner, str(refused["taskUUID"])) is None
    item_of(await workplace.perform(transformation()))
    item_of(await workplace.perform(transformation()))


async def test_a_repeat_is_a_conflict_also_when_the_queue_is_full(
    open_workplace: Callable[..., Workplace],
) -> None:
    workplace = open_workplace(queue_limit=1)
    workplace.engine.holding = True
    task = transformation(deliveryMethod="async")
    item_of(await workplace.perform(task))
    # The Python client repeats a task after a lost connection, and polls for it when it is told of a conflict.
    assert error_of(await workplace.perform(task))["code"] == "conflictTaskUUID"
    workplace.engine.release()


async def test_a_key_has_a_bound_on_its_tasks(workplace: Workplace) -> None:
    workplace.engine.holding = True
    caller = limited(queued_tasks=2)
    for _ in range(2):
        item_of(await workplace.perform(transformation(deliveryMethod="async"), caller))
    reply = await workplace.perform(transformation(), caller)
    assert reply.errors[0][0] == 429
    assert "2 unfinished tasks" in error_of(reply)["message"]
    item_of(await workplace.perform(transformation(deliveryMethod="async"), STRANGER))
    workplace.engine.release()


async def test_a_key_has_a_bound_on_its_pixels(workplace: Workplace) -> None:
    workplace.engine.holding = True
    caller = limited(queued_pixels=3 * PIXELS)
    task = transformation(numberResults=2, deliveryMethod="async")
    item_of(await workplace.perform(task, caller))
    assert error_of(await workplace.perform(task | {"taskUUID": "b"}, caller))["code"] == "rateLimitExceeded"
    item_of(await workplace.perform(transformation(deliveryMethod="async"), caller))
    # Each picture that is done makes room.
    async with asyncio.timeout(30):
        while len(workplace.engine.jobs) < 3:  # noqa: ASYNC110, there is nothing to be told by
            await asyncio.sleep(0)
    workplace.engine.release(1)
    while error := (await workplace.perform(transformation(deliveryMethod="async"), caller)).errors:
        assert error[0][0] == 429
        await asyncio.sleep(0.01)
    workplace.engine.release()


async def test_what_never_fits_is_not_told_to_come_back(workplace: Workplace) -> None:
    reply = await workplace.perform(transformation(numberResults=4), limited(queued_pixels=3 * PIXELS))
    assert reply.errors[0][0] == 413
    assert error_of(reply)["parameter"] == ["width", "height", "numberResults"]


async def test_tasks_that_go_on_after_a_restart_count_but_are_not_refused(
    open_workplace: Callable[..., Workplace],
) -> None:
    before = open_workplace()
    before.engine.holding = True
    for _ in range(3):
        item_of(await before.perform(transformation(deliveryMethod="async")))
    after = open_workplace(queue_limit=2)
    after.engine.holding = True
    await after.studio.resume()
    status = after.studio.status()
    assert status.waiting + status.running == 3
    assert error_of(await after.perform(transformation()))["code"] == "rateLimitExceeded"
    after.engine.release()
