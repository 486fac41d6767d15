import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from underpaint.database import open_database
from underpaint.server.keys import KeyRing, UnknownKeyError


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(tmp_path)
    yield engine
    engine.dispose()


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_key_is_random_and_authenticates_its_owner(database: Engine) -> None:
    ring = KeyRing(database)
    (first_id, first), (second_id, second) = ring.add("one"), ring.add("two")
    assert first != second
    assert first.startswith("up_")
    assert len(first) == 3 + 43
    assert (ring.authenticate(first), ring.authenticate(second)) == (first_id, second_id)


@pytest.mark.parametrize("key", ["", "up_", "up_" + "A" * 43, "ключ", "\ud800"])
def test_anything_else_authenticates_nobody(database: Engine, key: str) -> None:
    ring = KeyRing(database)
    ring.add("one")
    assert ring.authenticate(key) is None


def test_only_the_hash_is_stored(database: Engine) -> None:
    _, key = KeyRing(database).add("one")
    with database.connect() as connection:
        row = connection.execute(text("SELECT * FROM keys")).mappings().one()
    assert row["hash"] == hashlib.sha256(key.encode()).hexdigest()
    assert key not in "".join(str(value) for value in row.values())


def test_a_revoked_key_is_refused_and_still_listed(database: Engine) -> None:
    clock = Clock()
    ring = KeyRing(database, clock=clock)
    key_id, key = ring.add("one")
    clock.now_s = 1001.0
    ring.revoke(key_id)
    clock.now_s = 1002.0
    ring.revoke(key_id)
    assert ring.authenticate(key) is None
    assert [(record.name, record.revoked_s) for record in ring.list()] == [("one", 1001.0)]


def test_revoking_an_unknown_key_is_an_error(database: Engine) -> None:
    with pytest.raises(UnknownKeyError, match="abc"):
        KeyRing(database).revoke("abc")


@pytest.mark.parametrize("name", ["", "  ", "x" * 101])
def test_a_key_needs_a_name(database: Engine, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        KeyRing(database).add(name)


def test_the_last_use_is_written_at_most_once_a_minute(database: Engine) -> None:
    clock = Clock()
    ring = KeyRing(database, clock=clock)
    _, key = ring.add("one")
    used_s = []
    for clock.now_s in (1000.0, 1059.0, 1060.0):
        ring.authenticate(key)
        used_s.append(ring.list()[0].last_used_s)
    assert used_s == [1000.0, 1000.0, 1060.0]


def test_another_process_sees_changes_at_once(database: Engine, tmp_path: Path) -> None:
    other = open_database(tmp_path)
    key_id, key = KeyRing(other).add("one")
    assert KeyRing(database).authenticate(key) == key_id
    KeyRing(other).revoke(key_id)
    assert KeyRing(database).authenticate(key) is None
    other.dispose()


def test_a_revoked_key_still_counts_as_configured(database: Engine) -> None:
    ring = KeyRing(database)
    assert not ring.snapshot().configured
    ring.revoke(ring.add("one")[0])
    assert ring.snapshot().configured
