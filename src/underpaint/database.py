"""The database: one schema for keys, images, tasks and their results.

SQLite in WAL mode, in the data folder, or PostgreSQL by URL. Each room reads and writes its own tables; the schema
stands in one place so that a migration has one place to change.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Engine,
    Executable,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.exc import ArgumentError, DBAPIError

from underpaint.migrations import migrate
from underpaint.transactions import write_over_one_connection

SQLITE_FILE = "underpaint.db"
"""In the data folder."""

metadata = MetaData()

keys = Table(
    "keys",
    metadata,
    Column("key_id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("hash", String, nullable=False, unique=True),
    Column("created_s", Float, nullable=False),
    Column("last_used_s", Float),
    Column("revoked_s", Float),
    Column("scopes", String),
    Column("expires_s", Float),
    Column("requests_per_s", Float),
    Column("queued_tasks", Integer),
    Column("queued_pixels", BigInteger),
)
"""API keys. `hash` is the SHA-256 of the key in hex; the key itself is shown once and never stored. `scopes` are
separated by commas, null for all; null limits are those of the settings."""

images = Table(
    "images",
    metadata,
    Column("image_uuid", String, primary_key=True),
    Column("extension", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_s", Float, nullable=False),
    Column("expires_s", Float, nullable=False),
    Column("key_id", String),
    Index("images_by_expiry", "expires_s"),
)
"""Stored images, `kind` "upload", "result" or, of a task's input, "seed". One name space, as the API has it."""

unwritten_files = Table(
    "unwritten_files",
    metadata,
    Column("image_uuid", String, primary_key=True),
    Column("extension", String, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
"""Image files that are not in the image store yet; those of `images` that are there no more are void."""

tasks = Table(
    "tasks",
    metadata,
    Column("owner", String, primary_key=True),
    Column("task_uuid", String, primary_key=True),
    Column("task_type", String, nullable=False),
    Column("request", JSON, nullable=False),
    Column("base_url", String, nullable=False),
    Column("asynchronous", Boolean, nullable=False),
    Column("status", String, nullable=False),
    Column("seed", BigInteger),
    Column("error", JSON),
    Column("error_status", Integer),
    Column("attempts", Integer, nullable=False, default=0),
    Column("created_s", Float, nullable=False),
    Column("finished_s", Float),
    Column("expires_s", Float),
    Index("tasks_by_status", "status"),
    Index("tasks_by_expiry", "expires_s"),
)
"""Accepted tasks, `status` "accepted", "success" or "error". `owner` is the key that sent it, "" without keys."""

results = Table(
    "results",
    metadata,
    Column("owner", String, primary_key=True),
    Column("task_uuid", String, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("item", JSON, nullable=False),
    Column("created_s", Float, nullable=False),
)
"""Result items of a task in wire form, without the bytes of pictures: those are in the image store."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("delivery_id", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("task_uuid", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("url", String, nullable=False),
    Column("host", String, nullable=False),
    Column("payload", JSON),
    Column("embed", String, nullable=False),
    Column("image_uuid", String),
    Column("extension", String),
    Column("created_s", Float, nullable=False),
    Column("due_s", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Index("deliveries_by_due", "due_s"),
)
"""What is still to be sent, `kind` "webhook" or "upload"; what has arrived is removed."""


class DatabaseUnusable(RuntimeError):
    """The database that the settings name cannot be used. The message says why, without the password."""


def open_database(data_dir: Path, url: str | None = None) -> Engine:
    """Open, or create, the database, and bring its schema up to date.

    Args:
        data_dir: where SQLite's file is.
        url: of a PostgreSQL database, in place of that.

    Raises:
        SchemaVersionError: it was written by a newer version.
        DatabaseUnusable: it cannot be reached, read or written, or the driver of PostgreSQL is not installed.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise DatabaseUnusable(f"the data folder {data_dir} cannot be used: {failure.strerror}") from None
    engine = _sqlite(data_dir) if url is None else _postgresql(url)
    place = str(data_dir / SQLITE_FILE) if url is None else engine.url.render_as_string(hide_password=True)
    try:
        with engine.begin() as connection:
            migrate(connection, create_all=metadata.create_all, place=place)
    except BaseException as failure:
        engine.dispose()
        if isinstance(failure, DBAPIError):
            reason = " ".join(str(failure.orig).split())
            raise DatabaseUnusable(f"{place} cannot be used: {reason}") from None
        raise
    return engine


def _sqlite(data_dir: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{data_dir / SQLITE_FILE}",
        # For reading, the connection that was used last: few are ever opened, and it remembers its statements.
        pool_use_lifo=True,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        # WAL lets the command line read and write keys while a server runs. FULL makes a commit survive a power cut,
        # which is what "accepted" promises. Debian's SQLite would write zeros over all that is deleted, which for seed
        # images in unwritten_files is as much work again as writing them; a deleted file is not overwritten either.
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "busy_timeout=10000",
            "foreign_keys=ON",
            "secure_delete=FAST",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    write_over_one_connection(engine)
    return engine


def _postgresql(url: str) -> Engine:
    try:
        # A connection that the server has ended since is replaced before it is used.
        return create_engine(make_url(url).set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    except ModuleNotFoundError:
        raise DatabaseUnusable("PostgreSQL needs `pip install underpaint[postgres]`") from None
    except (ArgumentError, ValueError):
        raise DatabaseUnusable(
            "database_url must be of the form postgresql://USER:PASSWORD@HOST:PORT/NAME"
        ) from None


def rows(database: Engine, query: Executable) -> Sequence[Row[Any]]:
    """All rows that a query finds."""
    with database.connect() as connection:
        return connection.execute(query).all()
