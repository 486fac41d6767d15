"""Statements that go straight to the driver do what SQLAlchemy would do with them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError, OperationalError

from underpaint.database import open_database, rows, tasks
from underpaint.prepared import PreparedStatement
from underpaint.transactions import begin

TASK = {
    "owner": "",
    "task_uuid": "one",
    "task_type": "imageInference",
    "request": {"positivePrompt": "ein Haus am Meer, ü"},
    "base_url": "http://localhost",
    "asynchronous": True,
    "status": "accepted",
    "attempts": 1,
    "created_s": 1.5,
}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    database = open_database(tmp_path)
    yield database
    database.dispose()


def test_values_are_what_sqlalchemy_reads_back(database: Engine) -> None:
    with database.begin() as connection:
        PreparedStatement(insert(tasks)).run(connection, TASK)

    [row] = rows(database, select(tasks))
    assert {name: getattr(row, name) for name in TASK} == TASK
    assert row.error is None


def test_values_within_the_statement_stand_beside_those_that_are_given(database: Engine) -> None:
    ended = PreparedStatement(
        update(tasks)
        .where(tasks.c.task_uuid == bindparam("its_uuid"))
        .values(status="success", finished_s=bindparam("finished"))
    )
    with begin(database, flush=False) as connection:
        insertion = PreparedStatement(insert(tasks))
        for task_uuid in ("one", "two"):
            insertion.run(connection, {**TASK, "task_uuid": task_uuid})
        assert ended.run(connection, {"its_uuid": "two", "finished": 2.5}).rowcount == 1

    found = rows(database, select(tasks.c.status, tasks.c.finished_s).order_by(tasks.c.task_uuid))
    assert [tuple(each) for each in found] == [("accepted", None), ("success", 2.5)]


def test_failures_have_sqlalchemys_names_and_undo_the_transaction(database: Engine) -> None:
    insertion = PreparedStatement(insert(tasks))

    def enter_twice() -> None:
        with begin(database, flush=False) as connection:
            insertion.run(connection, TASK)
            insertion.run(connection, TASK)

    with pytest.raises(IntegrityError, match="UNIQUE constraint failed"):
        enter_twice()
    assert rows(database, select(tasks)) == []
    with database.begin() as connection:
        tasks.drop(connection)
        with pytest.raises(OperationalError, match="no such table"):
            insertion.run(connection, TASK)
