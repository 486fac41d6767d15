"""The journal forgets what has expired, and leaves others room to write meanwhile."""

import itertools
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, func, insert, select

from tests.studio.conftest import fresh_database
from underpaint.database import results, rows, tasks
from underpaint.studio.journal import FORGOTTEN_AT_ONCE, Journal, ResultRecord, TaskRecord


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    database = fresh_database(tmp_path)
    yield database
    database.dispose()


def accepted(journal: Journal, *, left_s: float, owner: str = "key-1", task_uuid: str = "") -> TaskRecord:
    """A task with two results, whose time will be over in so many seconds if it ends now."""
    task = TaskRecord(
        owner=owner,
        task_uuid=task_uuid or str(uuid.uuid4()),
        task_type="imageInference",
        request={},
        base_url="http://studio.test",
        asynchronous=False,
        seed=7,
        expires_s=time.time() + left_s,
    )
    assert journal.accept(task)
    for position in range(2):
        picture = ResultRecord(image_uuid=str(uuid.uuid4()), extension="jpg", seed=7, steps_run=5)
        journal.add_result(task, position, picture)
    return task


def add_expired(database: Engine, count: int) -> None:
    """Successful tasks with a result each, whose time was over some seconds ago."""
    keys = [{"owner": "key-1", "task_uuid": str(uuid.uuid4())} for _ in range(count)]
    at_s = time.time() - 10.0
    task = {
        "task_type": "imageInference",
        "request": {},
        "base_url": "",
        "asynchronous": False,
        "attempts": 1,
    }
    ended = {"status": "success", "created_s": at_s, "expires_s": at_s}
    result = {"position": 0, "item": {}, "created_s": at_s}
    with database.begin() as connection:
        connection.execute(insert(tasks), [{**key, **task, **ended} for key in keys])
        connection.execute(insert(results), [{**key, **result} for key in keys])


def remaining(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(tasks)).scalar_one())


def test_finished_tasks_are_forgotten_with_their_results_when_their_time_is_over(database: Engine) -> None:
    journal = Journal(database)
    add_expired(database, FORGOTTEN_AT_ONCE)
    succeeded, failed = (accepted(journal, left_s=-10.0) for _ in range(2))
    journal.succeed(succeeded)
    journal.fail(failed, {"code": "inferenceError"}, status_code=400)
    # The UUID belongs to another owner's task as well, whose time is not over.
    namesake = accepted(journal, left_s=1000.0, owner="key-2", task_uuid=failed.task_uuid)
    journal.succeed(namesake)
    unfinished = accepted(journal, left_s=-10.0)

    journal.forget_expired()

    kept = {(each.owner, each.task_uuid) for each in (namesake, unfinished)}
    assert {tuple(row) for row in rows(database, select(tasks.c.owner, tasks.c.task_uuid))} == kept
    found = rows(database, select(results.c.owner, results.c.task_uuid))
    assert sorted(map(tuple, found)) == sorted([*kept, *kept])


@pytest.mark.parametrize("count", [1, FORGOTTEN_AT_ONCE, 2 * FORGOTTEN_AT_ONCE + 1])
def test_no_transaction_forgets_more_than_a_few_hundred_tasks(database: Engine, count: int) -> None:
    add_expired(database, count)
    left = [count]
    event.listen(database, "commit", lambda connection: left.append(remaining(connection)))

    Journal(database).forget_expired()

    assert left[-1] == 0
    assert all(before - after <= FORGOTTEN_AT_ONCE for before, after in itertools.pairwise(left))


def test_others_write_before_all_is_forgotten(database: Engine) -> None:
    journal = Journal(database)
    add_expired(database, 20 * FORGOTTEN_AT_ONCE)
    seen: list[int] = []

    def write() -> None:
        accepted(journal, left_s=1000.0)
        with database.connect() as connection:
            seen.append(remaining(connection))

    other = threading.Thread(target=write)
    event.listen(database, "commit", lambda _: other.start(), once=True)

    journal.forget_expired()

    other.join()
    assert seen[0] > 1
