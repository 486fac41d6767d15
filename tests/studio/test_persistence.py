"""A database that is away for a time takes nothing from anybody: outcomes wait for it, and who asks is told."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from tests.studio.conftest import CALLER, Workplace, error_of, item_of, transformation
from underpaint.studio import persistence
from underpaint.studio.journal import Journal
from underpaint.studio.pictures import Pictures


def question(task: dict[str, Any]) -> dict[str, Any]:
    return {"taskType": "getResponse", "taskUUID": task["taskUUID"]}


class Outage:
    """While it lasts, the journal's methods of these names raise what SQLAlchemy makes of a driver's error."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
        self.over = False
        self._attempts = threading.Semaphore(0)
        for name in names:
            method = getattr(Journal, name)

            def attempt(*args: Any, _method: Any = method, **options: Any) -> Any:
                if self.over:
                    return _method(*args, **options)
                self._attempts.release()
                raise OperationalError("INSERT", {}, sqlite3.OperationalError("database is locked"))

            monkeypatch.setattr(Journal, name, attempt)

    async def felt(self, attempts: int = 2) -> None:
        for _ in range(attempts):
            assert await asyncio.to_thread(self._attempts.acquire, timeout=10)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persistence, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(persistence, "LONGEST_PAUSE_S", 0.05)


@pytest.mark.parametrize("results", [1, 3])
async def test_a_result_waits_for_the_database(
    results: int, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage = Outage(monkeypatch, "add_result", "succeed", "fail")
    task = transformation(numberResults=results)
    reply = asyncio.create_task(workplace.perform(task))
    await outage.felt(2 * results)
    assert not reply.done()
    status = item_of(await workplace.perform(question(task)))["status"]
    assert status == "processing"
    outage.over = True
    assert len((await reply).data) == results
    assert (await reply).errors == ()
    assert len((await workplace.perform(question(task))).data) == results


async def test_a_failure_that_cannot_be_written_down_is_told_meanwhile(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the picture cannot be encoded")

    monkeypatch.setattr(Pictures, "put", broken, raising=True)
    outage = Outage(monkeypatch, "fail")
    upload = {"taskType": "imageUpload", "taskUUID": "u", "image": transformation()["seedImage"]}
    assert error_of(await workplace.perform(upload))["code"] == "internalServerError"
    task = transformation(seedImage=..., strength=...)
    assert error_of(await workplace.perform(task))["code"] == "internalServerError"
    # It is neither running nor done, and neither lost nor begun again.
    told = error_of(await workplace.perform(question(task)))
    assert (told["code"], told["status"]) == ("internalServerError", "error")
    assert error_of(await workplace.perform(task))["code"] == "conflictTaskUUID"
    outage.over = True
    await workplace.studio._inference.work.drain(grace_s=10)
    assert error_of(await workplace.perform(question(task)))["code"] == "internalServerError"
    monkeypatch.undo()
    item_of(await workplace.perform(task))


async def test_what_the_end_of_the_server_keeps_from_the_journal_is_done_again(
    open_workplace: Callable[..., Workplace], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_workplace()
    outage = Outage(monkeypatch, "add_result", "begun_in_vain")
    task = transformation(deliveryMethod="async")
    item_of(await before.perform(task))
    await outage.felt()
    await before.studio.drain(grace_s=5)
    # Whoever asks the server that is stopping has not lost it, either.
    assert item_of(await before.perform(question(task)))["status"] == "processing"
    outage.over = True
    after = open_workplace()
    await after.studio.resume()
    done = item_of(await after.perform(question(task), hold_s=5))
    assert done["status"] == "success"


async def test_a_result_that_cannot_be_stored_ends_the_other_pictures_of_its_task(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, stored = Pictures.put, []

    def put_or_fail(self: Pictures, data: bytes, **options: Any) -> Any:
        if options["kind"] == "result":
            stored.append(options)
            if len(stored) == 1:
                raise RuntimeError("broken")
        return put(self, data, **options)

    monkeypatch.setattr(Pictures, "put", put_or_fail)
    workplace.engine.holding = True
    task = transformation(numberResults=3)
    reply = asyncio.create_task(workplace.perform(task))
    async with asyncio.timeout(10):
        await workplace.engine.begun.wait()
    workplace.engine.release(1)
    assert error_of(await reply)["code"] == "internalServerError"
    assert len(stored) == 1
    assert workplace.studio.status().waiting + workplace.studio.status().running == 0


async def test_a_task_that_cannot_go_on_after_a_restart_keeps_nobody_else_from_it(
    open_workplace: Callable[..., Workplace],
) -> None:
    before = open_workplace()
    before.engine.holding = True
    tasks = [transformation(deliveryMethod="async") for _ in range(2)]
    for task in tasks:
        item_of(await before.perform(task))
    after = open_workplace()
    locate = after.pictures.incoming.locate

    async def locate_or_fail(*args: Any, **options: Any) -> Any:
        if not calls:
            calls.append(args)
            raise OSError(5, "Input/output error")
        return await locate(*args, **options)

    calls: list[Any] = []
    after.pictures.incoming.locate = locate_or_fail  # type: ignore[method-assign]
    await after.studio.resume()
    replies = [await after.perform(question(task), hold_s=5) for task in tasks]
    assert error_of(replies[0])["code"] == "internalServerError"
    assert item_of(replies[1])["status"] == "success"


async def test_results_are_kept_from_when_they_are_there(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time
    workplace.engine.holding = True
    task = transformation(ttl=60)
    reply = asyncio.create_task(workplace.perform(task))
    await workplace.engine.begun.wait()
    # The queue takes longer than the results are wanted for. What the task is run again from stays, too.
    monkeypatch.setattr(time, "time", lambda: now() + 300)
    await workplace.pictures.remove_expired()
    await asyncio.to_thread(workplace.journal.forget_expired)
    assert item_of(await workplace.perform(question(task)))["status"] == "processing"
    record = workplace.journal.find(CALLER.owner, task["taskUUID"])
    assert record is not None
    seed = record.request["seedImage"]
    assert workplace.pictures._file_for(seed, CALLER.owner) is not None
    workplace.engine.release()
    made = item_of(await reply)
    await workplace.pictures.remove_expired()
    await asyncio.to_thread(workplace.journal.forget_expired)
    assert item_of(await workplace.perform(question(task)))["imageUUID"] == made["imageUUID"]
    assert await workplace.pictures.open(made["imageUUID"], "jpg") is not None
    # A minute later they are gone.
    monkeypatch.setattr(time, "time", lambda: now() + 400)
    await workplace.pictures.remove_expired()
    await asyncio.to_thread(workplace.journal.forget_expired)
    assert error_of(await workplace.perform(question(task)))["code"] == "taskNotFound"
    assert await workplace.pictures.open(made["imageUUID"], "jpg") is None
