"""From the schema of an older version to that of this one.

Every schema that was ever released can be brought up to date, one version after the other. A step is plain SQL that
both SQLite and PostgreSQL read, and never refers to the tables in `database`: they change, a step does not.
"""

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, inspect, text

SCHEMA_VERSION = 4

STEPS: Mapping[int, tuple[str, ...]] = {
    2: (
        "ALTER TABLE keys ADD COLUMN scopes VARCHAR",
        "ALTER TABLE keys ADD COLUMN expires_s FLOAT",
        "ALTER TABLE keys ADD COLUMN requests_per_s FLOAT",
        "ALTER TABLE keys ADD COLUMN queued_tasks INTEGER",
        "ALTER TABLE keys ADD COLUMN queued_pixels BIGINT",
    ),
    3: (
        "CREATE TABLE deliveries (delivery_id VARCHAR NOT NULL PRIMARY KEY, owner VARCHAR NOT NULL, "
        "task_uuid VARCHAR NOT NULL, kind VARCHAR NOT NULL, url VARCHAR NOT NULL, host VARCHAR NOT NULL, payload JSON, "
        "embed VARCHAR NOT NULL, image_uuid VARCHAR, extension VARCHAR, created_s FLOAT NOT NULL, "
        "due_s FLOAT NOT NULL, attempts INTEGER NOT NULL)",
        "CREATE INDEX deliveries_by_due ON deliveries (due_s)",
    ),
    # PostgreSQL's name of the type; SQLite, where any name will do, keeps bytes as they are.
    4: (
        "CREATE TABLE unwritten_files (image_uuid VARCHAR NOT NULL PRIMARY KEY, extension VARCHAR NOT NULL, "
        "size_bytes INTEGER NOT NULL, data BYTEA NOT NULL)",
    ),
}
"""By the version that they lead to, from the one before it."""

_LOCK = 0x756E6470
"""An arbitrary number, that of Underpaint among the advisory locks of a PostgreSQL database."""


class SchemaVersionError(RuntimeError):
    """The database was written by a newer version of Underpaint."""


def migrate(connection: Connection, *, create_all: Callable[[Connection], None], place: str) -> None:
    """Create the schema, or bring it up to date, in one transaction that other processes wait for.

    Args:
        connection: on which nothing was done yet.
        create_all: creates every table as this version has it.
        place: where the data is, for the error.

    Raises:
        SchemaVersionError: the data is of a newer version. Nothing was changed.
    """
    if connection.dialect.name == "sqlite":
        # Python's driver begins no transaction of its own for what changes the schema.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    found = _version(connection)
    if found > SCHEMA_VERSION:
        raise SchemaVersionError(
            f"{place} holds data of a newer version of Underpaint (schema {found}, this one knows {SCHEMA_VERSION})"
        )
    if found == SCHEMA_VERSION:
        return
    if found == 0:
        create_all(connection)
    else:
        for version in range(found + 1, SCHEMA_VERSION + 1):
            for statement in STEPS[version]:
                connection.execute(text(statement))
    _note_version(connection)


def _version(connection: Connection) -> int:
    """The version of the schema, 0 where there is none yet."""
    if connection.dialect.name == "sqlite":
        return int(connection.execute(text("PRAGMA user_version")).scalar_one())
    if not inspect(connection).has_table("schema_version"):
        return 0
    return int(connection.execute(text("SELECT version FROM schema_version")).scalar_one())


def _note_version(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.execute(text(f"PRAGMA user_version={SCHEMA_VERSION}"))
        return
    connection.execute(text("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)"))
    connection.execute(text("DELETE FROM schema_version"))
    connection.execute(text(f"INSERT INTO schema_version VALUES ({SCHEMA_VERSION})"))
