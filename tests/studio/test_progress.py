import asyncio
import base64
import io
import threading
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from tests.studio.conftest import STRANGER, Workplace, item_of, step_of, transformation
from underpaint.engine.messages import Picture
from underpaint.studio import progress as module
from underpaint.studio.caller import Caller, Item, Reply


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REPORT_INTERVAL_S", 0.001)
    monkeypatch.setattr(module, "QUEUED_INTERVAL_S", 0.001)


class Listener:
    """A caller that wants to know how far its task is."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[Item, ...]] = asyncio.Queue()
        self.may_take = asyncio.Event()
        self.may_take.set()

    async def take(self, items: Sequence[Item]) -> None:
        self.heard.put_nowait(tuple(items))
        await self.may_take.wait()

    async def next(self) -> tuple[Item, ...]:
        async with asyncio.timeout(10):
            return await self.heard.get()

    async def until(self, **wanted: object) -> Item:
        """The first item that has these values."""
        while True:
            for item in await self.next():
                if wanted.items() <= item.items():
                    return item


async def begin(
    workplace: Workplace, listener: Listener, caller: Caller | None = None, **changes: object
) -> asyncio.Task[Reply]:
    workplace.engine.holding = True
    workplace.engine.begun.clear()
    task = transformation(**({"progress": True} | changes))
    performing = asyncio.create_task(
        workplace.perform(task, *([caller] if caller else []), on_progress=listener.take)
    )
    await workplace.engine.begun.wait()
    return performing


async def test_a_task_tells_how_far_it_is_until_it_is_done(workplace: Workplace) -> None:
    listener = Listener()
    workplace.engine.queueing = True
    performing = await begin(workplace, listener)
    [job] = workplace.engine.jobs
    [queued] = await listener.next()
    assert {name: queued[name] for name in queued if name != "taskUUID"} == {
        "taskType": "imageInference",
        "resultIndex": 0,
        "status": "queued",
        "position": 0,
    }
    workplace.engine.on_progress(step_of(job, 0, stage="loading"))
    assert (await listener.until(status="loading"))["step"] == 0
    workplace.engine.estimates[job.job_id] = 4.56
    workplace.engine.on_progress(step_of(job, 3))
    [running] = await listener.next()
    assert running == {
        "taskType": "imageInference",
        "taskUUID": queued["taskUUID"],
        "resultIndex": 0,
        "status": "running",
        "step": 3,
        "steps": 10,
        "secondsLeft": 4.6,
    }
    workplace.engine.release()
    assert item_of(await performing)["taskUUID"] == queued["taskUUID"]
    assert listener.heard.empty()


async def test_nothing_is_said_twice(workplace: Workplace) -> None:
    listener = Listener()
    performing = await begin(workplace, listener)
    [job] = workplace.engine.jobs
    await listener.until(step=5)
    for _ in range(20):
        workplace.engine.on_progress(step_of(job, 5))
        await asyncio.sleep(0.001)
    workplace.engine.on_progress(step_of(job, 6))
    assert [item["step"] for item in await listener.next()] == [6]
    workplace.engine.release()
    await performing


async def test_who_did_not_ask_is_not_told(workplace: Workplace) -> None:
    listener = Listener()
    performing = await begin(workplace, listener, progress=False)
    workplace.engine.release()
    await performing
    assert listener.heard.empty()
    assert not workplace.engine.jobs[0].previews


async def test_who_cannot_be_told_gets_no_previews_made(workplace: Workplace) -> None:
    await workplace.perform(transformation(previews=True))
    assert not workplace.engine.jobs[0].previews


async def test_a_slow_listener_misses_what_is_no_longer_so(workplace: Workplace) -> None:
    listener = Listener()
    performing = await begin(workplace, listener)
    [job] = workplace.engine.jobs
    listener.may_take.clear()
    await listener.until(step=5)
    for step in range(6, 10):
        workplace.engine.on_progress(step_of(job, step))
        await asyncio.sleep(0.001)
    assert listener.heard.empty()
    listener.may_take.set()
    assert [item["step"] for item in await listener.next()] == [9]
    workplace.engine.release()
    await performing


async def test_a_listener_that_takes_nothing_does_not_hold_its_task_up(workplace: Workplace) -> None:
    listener = Listener()
    performing = await begin(workplace, listener)
    listener.may_take.clear()
    await listener.next()
    workplace.engine.release()
    item_of(await performing)


async def test_a_task_is_reported_at_most_ten_times_a_second(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPORT_INTERVAL_S", 0.1)
    loop = asyncio.get_running_loop()
    moments: list[float] = []
    listener = Listener()

    async def note(items: Sequence[Item]) -> None:
        moments.append(loop.time())
        await listener.take(items)

    workplace.engine.holding = True
    performing = asyncio.create_task(workplace.perform(transformation(progress=True), on_progress=note))
    await workplace.engine.begun.wait()
    [job] = workplace.engine.jobs
    step = 0
    while len(moments) < 4:
        step += 1
        workplace.engine.on_progress(step_of(job, step))
        await asyncio.sleep(0.001)
    assert all(later - sooner >= 0.099 for sooner, later in pairwise(moments))
    workplace.engine.release()
    await performing


async def test_each_picture_of_a_task_is_reported_when_it_moves(workplace: Workplace) -> None:
    listener = Listener()
    performing = await begin(workplace, listener, numberResults=3)
    assert [item["resultIndex"] for item in await listener.next()] == [0, 1, 2]
    workplace.engine.on_progress(step_of(workplace.engine.jobs[1], 8))
    assert [(item["resultIndex"], item["step"]) for item in await listener.next()] == [(1, 8)]
    workplace.engine.release()
    await performing


async def test_previews_are_small_pictures_and_come_once(workplace: Workplace) -> None:
    listener = Listener()
    performing = await begin(workplace, listener, progress=False, previews=True)
    [job] = workplace.engine.jobs
    assert job.previews
    preview = np.full((16, 24, 3), (200, 40, 90), np.uint8)
    workplace.engine.on_progress(step_of(job, 6, preview=preview))
    uri = (await listener.until(step=6))["previewDataURI"]
    assert uri.startswith("data:image/jpeg;base64,")
    shown = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert (shown.format, shown.size) == ("JPEG", (24, 16))
    assert np.abs(np.asarray(shown, int) - preview).max() < 8
    workplace.engine.on_progress(step_of(job, 7))
    assert "previewDataURI" not in await listener.until(step=7)
    # Two pictures on top of each other: the last one counts, also when the step after it has none.
    workplace.engine.on_progress(step_of(job, 8, preview=255 - preview))
    workplace.engine.on_progress(step_of(job, 9))
    assert "previewDataURI" in await listener.until(step=9)
    workplace.engine.release()
    await performing


async def test_news_that_the_result_overtakes_are_kept_back(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding, may_encode = threading.Event(), threading.Event()

    def slow_data_uri(preview: Picture) -> str:
        encoding.set()
        may_encode.wait(10)
        return "data:image/jpeg;base64,"

    monkeypatch.setattr(module, "_data_uri", slow_data_uri)
    listener = Listener()
    performing = await begin(workplace, listener, previews=True)
    [job] = workplace.engine.jobs
    await listener.until(step=5)
    workplace.engine.on_progress(step_of(job, 9, preview=np.zeros((8, 8, 3), np.uint8)))
    await asyncio.to_thread(encoding.wait, 10)
    workplace.engine.release()
    await performing
    may_encode.set()
    reports = [task for task in asyncio.all_tasks() if task.get_name().startswith("progress of")]
    async with asyncio.timeout(10):
        await asyncio.gather(*reports)
    assert listener.heard.empty()


async def test_an_asynchronous_task_is_reported_after_its_acknowledgement(workplace: Workplace) -> None:
    listener = Listener()
    acknowledged = item_of(await (await begin(workplace, listener, deliveryMethod="async")))
    [item] = await listener.next()
    assert item["taskUUID"] == acknowledged["taskUUID"]
    workplace.engine.release()
    question = {"taskType": "getResponse", "taskUUID": acknowledged["taskUUID"]}
    assert item_of(await workplace.perform(question, hold_s=60))["status"] == "success"
    assert listener.heard.empty()


async def test_the_position_counts_the_pictures_that_will_be_done_before(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("underpaint.studio.outlook.ORDER_AGE_S", 0.0)
    workplace.engine.queueing = True
    others, listener = Listener(), Listener()
    first = await begin(workplace, others, caller=STRANGER, numberResults=2)
    second = await begin(workplace, listener)
    *theirs, mine = workplace.engine.jobs
    assert (await listener.until(status="queued"))["position"] == 2
    # The engine does short jobs first, and says so in its estimates.
    workplace.engine.estimates |= {theirs[0].job_id: 1.0, mine.job_id: 2.0, theirs[1].job_id: 30.0}
    item = await listener.until(position=1)
    assert item["secondsLeft"] == 2.0
    workplace.engine.release(1)
    await listener.until(position=0)
    workplace.engine.release()
    await asyncio.gather(first, second)
