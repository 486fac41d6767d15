"""The journal, webhooks, keys and migrations on a real PostgreSQL server, which the test run starts itself.

Skipped where PostgreSQL's programs are not installed, except where REQUIRE_POSTGRESQL says that they have to be.
"""

import asyncio
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, inspect, make_url, text

from tests.studio.conftest import (
    Workplace,
    fresh_database,
    item_of,
    open_result,
    transformation,
)
from tests.test_database import FIRST_SCHEMA
from underpaint import claim
from underpaint.claim import AlreadyServed, claim_database
from underpaint.database import DatabaseUnusable, metadata, open_database
from underpaint.migrations import SCHEMA_VERSION, SchemaVersionError
from underpaint.permissions import Limits, Permissions
from underpaint.server.keys import KeyRing

ROOT = Path(__file__).parents[2]


def _programs() -> Path | None:
    """Where initdb and pg_ctl are. Debian keeps those of each version in a folder of its own, outside of PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob("[0-9]*/bin"), key=lambda path: float(path.parent.name))
    on_path = [Path(found).parent] if (found := shutil.which("pg_ctl")) else []
    folders = [*on_path, *reversed(debian)]
    return next((each for each in folders if (each / "initdb").exists() and (each / "pg_ctl").exists()), None)


PROGRAMS = _programs()
pytestmark = pytest.mark.skipif(
    PROGRAMS is None and not os.environ.get("REQUIRE_POSTGRESQL"),
    reason="PostgreSQL's initdb and pg_ctl are not installed (on Debian and Ubuntu: apt-get install postgresql)",
)


class Server:
    """PostgreSQL, reached through a socket in a folder of its own."""

    def __init__(self, folder: Path, user: str | None) -> None:
        self.folder = folder
        self.url = f"postgresql://paint@/postgres?host={folder}"
        self._user = user

    def run(self, program: str, *arguments: str) -> None:
        """One of its programs, on its data."""
        # Into a file and not a pipe: the server would hold the pipe open for as long as it runs.
        with (self.folder / "said").open("w+") as said:
            command = (f"{PROGRAMS}/{program}", "-D", f"{self.folder}/data", *arguments)
            done = subprocess.run(
                command, cwd=self.folder, user=self._user, stdout=said, stderr=subprocess.STDOUT, check=False
            )
            said.seek(0)
            assert done.returncode == 0, f"{' '.join(command)}: {said.read()}"

    def start(self) -> None:
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off"
        self.run("pg_ctl", "-w", "-l", f"{self.folder}/log", "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-w", "-m", "immediate", "stop")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """An empty one."""
    assert PROGRAMS is not None, "REQUIRE_POSTGRESQL is set, but initdb and pg_ctl are not installed"
    # It refuses to run as root.
    user = "nobody" if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pg") as name:
        folder = Path(name)
        if user is not None:
            owner = pwd.getpwnam(user)
            os.chown(folder, owner.pw_uid, owner.pw_gid)

        server = Server(folder, user)
        server.run("initdb", "-U", "paint", "-A", "trust", "-E", "UTF8", "--no-sync")
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    """Of it."""
    return server.url


@pytest.fixture(autouse=True)
def _on_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_DATABASE_URL", url)


@pytest.mark.timeout(900)
def test_what_holds_on_sqlite_holds_here(url: str) -> None:
    names = (
        *("restart", "polling", "webhooks", "room", "uploads", "disk", "cancelling", "journal"),
        *("persistence", "upscaling"),
    )
    # A test may end while a task of its studio goes on, and leave that task's connection to the garbage collector.
    ignored = "ignore::pytest.PytestUnraisableExceptionWarning"
    # One process for all: each would import everything anew.
    files = [f"tests/studio/test_{name}.py" for name in names]
    command = (sys.executable, "-m", "pytest", "-q", "-x", "-W", ignored, *files)
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"TEST_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=840,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_task_that_ends_while_the_database_restarts_has_its_result(
    server: Server, open_workplace: Callable[..., Workplace]
) -> None:
    workplace = open_workplace()
    workplace.engine.holding = True
    tasks = [transformation(deliveryMethod="async"), transformation(numberResults=2)]
    item_of(await workplace.perform(tasks[0]))
    waiting = asyncio.create_task(workplace.perform(tasks[1]))
    async with asyncio.timeout(60):
        while len(workplace.engine.jobs) < 3:  # noqa: ASYNC110 -- the engine tells of its first jobs only
            await asyncio.sleep(0.01)
    await asyncio.to_thread(server.stop)
    workplace.engine.release()
    # Long enough for several attempts.
    await asyncio.sleep(2)
    await asyncio.to_thread(server.start)
    async with asyncio.timeout(60):
        assert len((await waiting).data) == 2
    done = item_of(
        await workplace.perform({"taskType": "getResponse", "taskUUID": tasks[0]["taskUUID"]}, hold_s=60)
    )
    assert done["status"] == "success"
    assert (await open_result(workplace, done)).size == (128, 128)


def test_the_first_schema_is_brought_up_to_date(url: str, tmp_path: Path) -> None:
    fresh_database(tmp_path).dispose()
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        fresh = {name: _columns(connection, name) for name in metadata.tables}
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
        for statement in FIRST_SCHEMA.split(";"):
            if statement.strip() and "PRAGMA" not in statement:
                connection.execute(text(statement))
        connection.execute(text("CREATE TABLE schema_version (version INTEGER NOT NULL)"))
        connection.execute(text("INSERT INTO schema_version VALUES (1)"))
    database = open_database(tmp_path, url)
    with database.connect() as connection:
        assert {name: _columns(connection, name) for name in metadata.tables} == fresh
        assert connection.execute(text("SELECT version FROM schema_version")).scalars().all() == [
            SCHEMA_VERSION
        ]
        assert connection.execute(text("SELECT name FROM keys")).scalars().all() == ["old"]
    database.dispose()
    engine.dispose()


def _columns(connection: Connection, table: str) -> set[str]:
    return {column["name"] for column in inspect(connection).get_columns(table)}


def test_data_of_a_newer_version_is_left_alone(url: str, tmp_path: Path) -> None:
    database = fresh_database(tmp_path)
    with database.begin() as connection:
        connection.execute(text("UPDATE schema_version SET version = version + 1"))
    database.dispose()
    with pytest.raises(SchemaVersionError, match="newer version"):
        open_database(tmp_path, url)


def test_keys_work_here_too(tmp_path: Path) -> None:
    database = fresh_database(tmp_path)
    ring = KeyRing(database)
    limits = Limits(requests_per_s=0.5, queued_tasks=3, queued_pixels=2**40)
    permissions = Permissions(scopes=frozenset({"uploads"}), limits=limits)
    key_id, key = ring.add("kiosk", permissions)
    assert ring.authenticate(key) == key_id
    assert ring.snapshot().permissions[key_id] == permissions
    ring.revoke(key_id)
    assert ring.authenticate(key) is None
    database.dispose()


def test_a_server_that_is_not_there_is_an_error_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable) as failure:
        open_database(tmp_path, f"postgresql://paint:secret@/none?host={tmp_path}")
    assert "secret" not in str(failure.value)


async def test_one_server_holds_the_database(url: str, tmp_path: Path) -> None:
    first, second = fresh_database(tmp_path), open_database(tmp_path, url)
    async with claim_database(first, when_lost=_never):
        with pytest.raises(AlreadyServed, match=r"uses the database postgresql"):
            async with claim_database(second, when_lost=_never, patience_s=0.1):
                raise AssertionError("held twice")
    async with claim_database(second, when_lost=_never, patience_s=0.1):
        pass
    first.dispose()
    second.dispose()


async def test_a_server_takes_its_database_again_after_a_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(claim, "CHECK_INTERVAL_S", 0.02)
    database = fresh_database(tmp_path)
    async with claim_database(database, when_lost=_never):
        _end_other_sessions(database)
        await _until(lambda: "this server's again" in caplog.text)
        with pytest.raises(AlreadyServed):
            async with claim_database(database, when_lost=_never, patience_s=0.1):
                raise AssertionError("held twice")
    database.dispose()


async def test_a_server_that_ends_while_it_looks_takes_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "CHECK_INTERVAL_S", 0.01)
    database = fresh_database(tmp_path)
    looking, go_on, looked = threading.Event(), threading.Event(), threading.Event()
    keep = claim._Session.keep

    def keep_slowly(session: claim._Session) -> bool:
        looking.set()
        go_on.wait(60)
        kept = keep(session)
        looked.set()
        return kept

    monkeypatch.setattr(claim._Session, "keep", keep_slowly)
    async with claim_database(database, when_lost=_never):
        assert await asyncio.to_thread(looking.wait, 60)
    go_on.set()
    assert await asyncio.to_thread(looked.wait, 60)
    async with claim_database(database, when_lost=_never, patience_s=1):
        pass
    database.dispose()


async def test_a_server_that_lost_its_database_to_another_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, lost = fresh_database(tmp_path), asyncio.Event()
    async with claim_database(database, when_lost=lost.set):
        _end_other_sessions(database)
        # The first looks only after five seconds.
        async with claim_database(database, when_lost=_never):
            monkeypatch.setattr(claim, "CHECK_INTERVAL_S", 0.02)
            await asyncio.wait_for(lost.wait(), 60)
    database.dispose()


def _end_other_sessions(database: Engine) -> None:
    with database.begin() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")
        )


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110, there is nothing to be told by
            await asyncio.sleep(0.01)


def _never() -> None:
    raise AssertionError("the database was lost")
