"""Transactions that write: whole, durable where that is asked for, and one after the other."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, insert, select, text

from underpaint.database import keys, open_database, rows
from underpaint.transactions import begin, execute


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    database = open_database(tmp_path)
    yield database
    database.dispose()


def add(connection: Connection, name: str) -> None:
    connection.execute(insert(keys).values(key_id=name, name=name, hash=name, created_s=0.0))


def names(database: Engine) -> list[str]:
    return [name for (name,) in rows(database, select(keys.c.name).order_by(keys.c.name))]


def synchronous(connection: Connection) -> int:
    return int(connection.execute(text("PRAGMA synchronous")).scalar_one())


def test_an_unflushed_commit_is_seen_at_once_and_leaves_the_next_one_durable(
    database: Engine, tmp_path: Path
) -> None:
    with begin(database, flush=False) as connection:
        assert synchronous(connection) == 1
        add(connection, "one")

    reader = open_database(tmp_path)
    assert names(reader) == ["one"]
    reader.dispose()
    with begin(database) as connection:
        assert synchronous(connection) == 2
    with database.connect() as connection:
        assert synchronous(connection) == 2


@pytest.mark.parametrize("flush", [True, False])
def test_a_transaction_that_fails_leaves_nothing_and_the_next_one_works(
    database: Engine, flush: bool
) -> None:
    def begin_and_fail() -> None:
        with begin(database, flush=flush) as connection:
            add(connection, "one")
            raise RuntimeError("on the way")

    with pytest.raises(RuntimeError, match="on the way"):
        begin_and_fail()

    assert names(database) == []
    with begin(database) as connection:
        assert synchronous(connection) == 2
        add(connection, "two")
    assert names(database) == ["two"]


def test_transactions_of_many_threads_go_over_one_connection_one_after_the_other(database: Engine) -> None:
    within, most, drivers = 0, 0, set()

    def write(number: int) -> None:
        nonlocal within, most
        with begin(database, flush=number % 2 == 0) as connection:
            within += 1
            most = max(most, within)
            drivers.add(id(connection.connection.dbapi_connection))
            add(connection, f"{number:03d}")
            within -= 1

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(200)))

    assert (most, len(drivers)) == (1, 1)
    assert names(database) == [f"{number:03d}" for number in range(200)]


def test_another_process_writes_in_between(database: Engine, tmp_path: Path) -> None:
    other = open_database(tmp_path)
    began, go_on = threading.Event(), threading.Event()

    def write_slowly() -> None:
        with begin(other) as connection:
            add(connection, "theirs")
            began.set()
            assert go_on.wait(10)

    thread = threading.Thread(target=write_slowly)
    thread.start()
    assert began.wait(10)
    threading.Timer(0.2, go_on.set).start()
    # Waits for theirs, as SQLite has it.
    with begin(database) as connection:
        add(connection, "ours")
    thread.join()

    assert names(database) == ["ours", "theirs"]
    other.dispose()


def test_a_database_that_was_put_away_can_be_used_again(database: Engine) -> None:
    execute(database, insert(keys).values(key_id="one", name="one", hash="one", created_s=0.0))
    database.dispose()
    with begin(database) as connection:
        add(connection, "two")
    assert names(database) == ["one", "two"]
