"""The database: created whole, opened again, and never opened by a version that does not know it."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, inspect, select, text

from underpaint.database import SCHEMA_VERSION, SchemaVersionError, keys, metadata, open_database


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
