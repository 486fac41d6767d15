"""The database: created whole, opened again, and never opened by a version that does not know it."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, inspect, select, text

from underpaint import migrations
from underpaint.database import DatabaseUnusable, keys, metadata, open_database
from underpaint.migrations import SCHEMA_VERSION, SchemaVersionError


def _rows(database: Engine) -> list[str]:
    with database.connect() as connection:
        return list(connection.scalars(select(keys.c.name).order_by(keys.c.name)))


def _add_key(database: Engine, name: str) -> None:
    with database.begin() as connection:
        connection.execute(insert(keys).values(key_id=name, name=name, hash=name, created_s=0.0))


def test_a_new_database_has_every_table_and_the_schema_version(tmp_path: Path) -> None:
    database = open_database(tmp_path / "deep" / "data")

    assert set(inspect(database).get_table_names()) == set(metadata.tables)
    with database.connect() as connection:
        assert connection.execute(text("PRAGMA user_version")).scalar_one() == SCHEMA_VERSION
    database.dispose()


def test_what_was_written_is_there_after_opening_again(tmp_path: Path) -> None:
    first = open_database(tmp_path)
    _add_key(first, "one")
    first.dispose()

    second = open_database(tmp_path)
    assert _rows(second) == ["one"]
    second.dispose()


def test_commits_are_durable_and_do_not_block_readers(tmp_path: Path) -> None:
    database = open_database(tmp_path)

    with database.connect() as connection:
        pragmas = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }

    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    database.dispose()


def test_two_processes_see_each_others_commits(tmp_path: Path) -> None:
    server, command_line = open_database(tmp_path), open_database(tmp_path)
    _add_key(server, "made by the server")

    assert _rows(command_line) == ["made by the server"]
    _add_key(command_line, "made beside it")
    assert _rows(server) == ["made beside it", "made by the server"]
    server.dispose()
    command_line.dispose()


def test_data_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    with database.begin() as connection:
        connection.execute(text(f"PRAGMA user_version={SCHEMA_VERSION + 1}"))
    database.dispose()

    with pytest.raises(SchemaVersionError, match="newer version"):
        open_database(tmp_path)


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "underpaint.db").write_bytes(b"this was a database once" * 200)
    with pytest.raises(DatabaseUnusable, match=r"underpaint\.db cannot be used: file is not a database"):
        open_database(tmp_path)


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseUnusable, match=r"data folder .*file/data cannot be used: Not a directory"):
        open_database(tmp_path / "file" / "data")


def test_an_address_that_is_none_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="database_url must be of the form"):
        open_database(tmp_path, "postgresql://paint:secret@host:port/name")


FIRST_SCHEMA = """
CREATE TABLE keys (key_id VARCHAR NOT NULL PRIMARY KEY, name VARCHAR NOT NULL, hash VARCHAR NOT NULL UNIQUE,
    created_s FLOAT NOT NULL, last_used_s FLOAT, revoked_s FLOAT);
CREATE TABLE images (image_uuid VARCHAR NOT NULL PRIMARY KEY, extension VARCHAR NOT NULL, kind VARCHAR NOT NULL,
    width_px INTEGER NOT NULL, height_px INTEGER NOT NULL, size_bytes INTEGER NOT NULL, created_s FLOAT NOT NULL,
    expires_s FLOAT NOT NULL, key_id VARCHAR);
CREATE INDEX images_by_expiry ON images (expires_s);
CREATE TABLE tasks (owner VARCHAR NOT NULL, task_uuid VARCHAR NOT NULL, task_type VARCHAR NOT NULL,
    request JSON NOT NULL, base_url VARCHAR NOT NULL, asynchronous BOOLEAN NOT NULL, status VARCHAR NOT NULL,
    seed INTEGER, error JSON, error_status INTEGER, attempts INTEGER NOT NULL, created_s FLOAT NOT NULL,
    finished_s FLOAT, expires_s FLOAT, PRIMARY KEY (owner, task_uuid));
CREATE INDEX tasks_by_status ON tasks (status);
CREATE INDEX tasks_by_expiry ON tasks (expires_s);
CREATE TABLE results (owner VARCHAR NOT NULL, task_uuid VARCHAR NOT NULL, position INTEGER NOT NULL,
    item JSON NOT NULL, created_s FLOAT NOT NULL, PRIMARY KEY (owner, task_uuid, position));
INSERT INTO keys VALUES ('id', 'old', 'hash', 1.0, NULL, NULL);
PRAGMA user_version=1;
"""


def test_the_first_schema_is_brought_up_to_date_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with sqlite3.connect(tmp_path / "old" / "underpaint.db") as connection:
        connection.executescript(FIRST_SCHEMA)
    connection.close()

    old, new = open_database(tmp_path / "old"), open_database(tmp_path / "new")

    assert _rows(old) == ["old"]
    for name in metadata.tables:
        columns = [{each["name"] for each in inspect(engine).get_columns(name)} for engine in (old, new)]
        indexes = [{each["name"] for each in inspect(engine).get_indexes(name)} for engine in (old, new)]
        assert columns[0] == columns[1], name
        assert indexes[0] == indexes[1], name
    old.dispose()
    new.dispose()
    open_database(tmp_path / "old").dispose()


def test_a_step_that_fails_leaves_the_older_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect(tmp_path / "underpaint.db") as connection:
        connection.executescript(FIRST_SCHEMA)
    connection.close()
    broken = {
        **migrations.STEPS,
        SCHEMA_VERSION: (*migrations.STEPS[SCHEMA_VERSION], "ALTER TABLE none ADD x"),
    }
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "STEPS", broken)
        with pytest.raises(DatabaseUnusable, match="cannot be used"):
            open_database(tmp_path)

    database = open_database(tmp_path)
    assert "scopes" in {each["name"] for each in inspect(database).get_columns("keys")}
    database.dispose()
