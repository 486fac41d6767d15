"""Transactions that write.

SQLite lets one connection write at a time, and whoever comes second sleeps for 1, 2, 5, 10 ms and more between its
attempts. So within this process one connection writes, and a lock hands it on at once. What that connection has read
stays in its memory for as long as nobody else writes. Other processes wait as SQLite has it.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, Executable, event

_OPTION = "underpaint_writer"


class _Writer:
    """The connection of an engine that writes, opened when it is needed."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._flushes = True
        self.lock = threading.Lock()
        """Held by whoever uses it."""

    def connection(self, *, flush: bool) -> Connection:
        """It, out of any transaction, to wait for the disk at the end of the next one or not."""
        if self._connection is None:
            self._connection, self._flushes = self._database.connect(), True
            # From its pool: with what is set below, nobody else may come to it.
            self._connection.detach()
        if flush != self._flushes:
            # Straight to the driver: this is run twice for every task.
            driver: Any = self._connection.connection.dbapi_connection
            driver.execute(f"PRAGMA synchronous={'FULL' if flush else 'NORMAL'}")
            self._flushes = flush
        return self._connection

    def close(self) -> None:
        """End it; the next transaction opens another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def write_over_one_connection(database: Engine) -> None:
    """Have `begin` use a single connection of this engine, of SQLite."""
    writer = _Writer(database)
    database.update_execution_options(**{_OPTION: writer})

    @event.listens_for(database, "engine_disposed")
    def close(_engine: Engine) -> None:
        with writer.lock:
            writer.close()


@contextmanager
def begin(database: Engine, *, flush: bool = True) -> Iterator[Connection]:
    """A transaction, for which others of this process wait.

    Args:
        database: either one.
        flush: whether it is on the disk at its end. Without, it is whole, survives the end of this process at once, and
            a power cut from the next transaction on that is flushed: what that writes includes all that was before it.
    """
    writer: _Writer | None = database.get_execution_options().get(_OPTION)
    if writer is None:
        with database.begin() as connection:
            if not flush:
                connection.exec_driver_sql("SET LOCAL synchronous_commit TO OFF")
            yield connection
        return
    with writer.lock:
        try:
            connection = writer.connection(flush=flush)
            with connection.begin():
                yield connection
        except BaseException:
            # Whatever state it is in.
            writer.close()
            raise


def execute(database: Engine, statement: Executable, values: Mapping[str, Any] | None = None) -> None:
    """Run one statement as a transaction. Returns when it is on the disk."""
    with begin(database) as connection:
        connection.execute(statement, values)
