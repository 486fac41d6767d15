"""One server for one data folder and one database.

Two would go on with each other's tasks and remove each other's files. The folder is held by a lock on a file in it, a
PostgreSQL database by an advisory lock of a session of its own. The system takes either away from a process that dies,
so that nothing has to be cleared up before the next start. The command line beside a server needs neither.
"""

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from underpaint.blocking import in_thread
from underpaint.database import DatabaseUnusable

log = logging.getLogger(__name__)

LOCK_FILE = "server.lock"
"""In the data folder. It holds the number of the process that has the lock, and stays when it ends."""
PATIENCE_S = 10.0
"""How long a start waits for the session of a server that has just died."""
CHECK_INTERVAL_S = 5.0
"""Between looks at whether the database is still held."""
_RETRY_S = 0.25
_LOCK = 0x756E6471
"""Beside the number that `migrations` uses; together with one for the schema, as several may be in one database."""
_TAKE = text("SELECT pg_try_advisory_lock(:lock, hashtext(current_schema()))")


class AlreadyServed(RuntimeError):
    """Another server works on the same data. The message says which."""


@contextmanager
def claim_folder(data_dir: Path) -> Iterator[None]:
    """Hold the data folder.

    Raises:
        AlreadyServed: another server holds it.
        DatabaseUnusable: it cannot be written to.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as failure:
        raise DatabaseUnusable(f"the data folder {data_dir} cannot be used: {failure.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as failure:
            if failure.errno not in (errno.EAGAIN, errno.EACCES):
                log.warning(
                    "the data folder's file system knows no locks (%s): nothing keeps a second server from it",
                    failure.strerror,
                )
                yield
                return
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            raise AlreadyServed(
                f"another server{f' (process {holder})' if holder else ''} uses the data folder {data_dir}: stop it, "
                "or give this one a folder of its own with data_dir"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)


@asynccontextmanager
async def claim_database(
    database: Engine, *, when_lost: Callable[[], None], patience_s: float = PATIENCE_S
) -> AsyncIterator[None]:
    """Hold a PostgreSQL database; with SQLite, which is in the data folder, there is nothing to hold.

    Args:
        database: which.
        when_lost: called, once, when the database was away and another server was the first to find it back.
        patience_s: how long to wait for one that another server holds.

    Raises:
        AlreadyServed: another server still holds it then.
    """
    if database.dialect.name == "sqlite":
        yield
        return
    session = _Session(database)
    until_s = time.monotonic() + patience_s
    while not await in_thread(session.take):
        if time.monotonic() >= until_s:
            place = database.url.render_as_string(hide_password=True)
            raise AlreadyServed(
                f"another server uses the database {place}: stop it, or give this one a database of its own"
            )
        await asyncio.sleep(_RETRY_S)
    watching = asyncio.create_task(_watch(session, when_lost), name="database claim")
    try:
        yield
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        await in_thread(session.release)


async def _watch(session: "_Session", when_lost: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(CHECK_INTERVAL_S)
        try:
            if not await in_thread(session.keep):
                log.critical("another server has taken the database over: this one stops")
                when_lost()
                return
        except DBAPIError as failure:
            log.warning("the database is away: %s", failure.orig)


class _Session:
    """A connection of its own, which has the lock. All calls block, and one waits for another: a look at the database
    goes on in its thread when nobody waits for it any more, and must not take again what was given up.
    """

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._one_at_a_time = threading.Lock()
        self._is_over = False

    def take(self) -> bool:
        """Connect and lock; False if another session has the lock."""
        connection = self._database.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            # The database must notice soon when this machine is gone. No effect where it is the same machine.
            for name, value in (("idle", 15), ("interval", 5), ("count", 3)):
                connection.exec_driver_sql(f"SET tcp_keepalives_{name} = {value}")
            taken = bool(connection.execute(_TAKE, {"lock": _LOCK}).scalar_one())
        except BaseException:
            connection.close()
            raise
        if taken:
            self._connection = connection
        else:
            connection.close()
        return taken

    def keep(self) -> bool:
        """Lock again if the connection was lost; False if another session was faster."""
        with self._one_at_a_time:
            if self._is_over:
                return True
            if self._connection is not None:
                try:
                    self._connection.exec_driver_sql("SELECT 1")
                    return True
                except DBAPIError:
                    self._close()
            if not self.take():
                return False
        log.warning("the database was away; it is this server's again")
        return True

    def release(self) -> None:
        """Give it up, for good."""
        with self._one_at_a_time:
            self._is_over = True
            self._close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # Not back into the pool: the lock ends with the connection.
            connection.invalidate()
            connection.close()
