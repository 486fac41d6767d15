import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from underpaint.database import open_database
from underpaint.server.access import Access, is_loopback
from underpaint.server.keys import KeyRing
from underpaint.wire import TaskError


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
async def ring(tmp_path: Path) -> AsyncIterator[KeyRing]:
    database = open_database(tmp_path)
    yield KeyRing(database)
    database.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def access(ring: KeyRing, clock: Clock) -> AsyncIterator[Access]:
    access = Access(ring, "127.0.0.1", clock=clock)
    yield access
    await asyncio.to_thread(access.close)


async def code_for(access: Access, key: str | None) -> str:
    with pytest.raises(TaskError) as caught:
        await access.owner_of(key)
    assert caught.value.status_code == 401
    assert caught.value.parameter == "apiKey"
    return caught.value.code


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost", "LOCALHOST.", "a.localhost"]
)
def test_loopback_hosts(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.0.1", "example.com", "localhost.example.com", "127.0.0.1.nip.io", ""]
)
def test_other_hosts(host: str) -> None:
    assert not is_loopback(host)


async def test_without_keys_any_key_is_accepted_and_the_log_says_so_once(
    access: Access, caplog: pytest.LogCaptureFixture
) -> None:
    assert [await access.owner_of(key) for key in ("a", "b", None)] == ["", "", ""]
    assert caplog.text.count("any key is accepted") == 1


async def test_the_first_key_closes_the_server_to_everybody_else_within_a_second(
    access: Access, ring: KeyRing, clock: Clock
) -> None:
    await access.owner_of("anything")
    key_id, key = ring.add("one")
    clock.now_s += 1.0
    assert await code_for(access, "anything") == "invalidApiKey"
    assert await code_for(access, None) == "missingApiKey"
    assert await access.owner_of(key) == key_id
    assert not await access.is_valid("")


async def test_a_new_key_works_at_once(access: Access, ring: KeyRing) -> None:
    await access.owner_of(ring.add("one")[1])
    key_id, key = ring.add("two")
    assert await access.owner_of(key) == key_id


async def test_a_revocation_counts_within_a_second(access: Access, ring: KeyRing, clock: Clock) -> None:
    key_id, key = ring.add("one")
    assert await access.owner_of(key) == key_id
    ring.revoke(key_id)
    clock.now_s += 1.0
    assert await code_for(access, key) == "invalidApiKey"
    assert not await access.is_valid(key_id)


async def test_revoking_the_last_key_does_not_open_the_server(access: Access, ring: KeyRing) -> None:
    ring.revoke(ring.add("one")[0])
    assert await code_for(access, "anything") == "invalidApiKey"


async def test_a_server_on_another_address_without_keys_refuses_all_and_says_what_to_do(
    ring: KeyRing, caplog: pytest.LogCaptureFixture
) -> None:
    access = Access(ring, "0.0.0.0")
    await access.log_policy()
    assert "underpaint keys add" in caplog.text
    with pytest.raises(TaskError, match="underpaint keys add"):
        await access.owner_of("anything")
    key_id, key = ring.add("one")
    assert await access.owner_of(key) == key_id
    await asyncio.to_thread(access.close)


async def test_use_is_noted(access: Access, ring: KeyRing) -> None:
    await access.owner_of(ring.add("one")[1])
    await asyncio.to_thread(access.close)
    assert ring.list()[0].last_used_s is not None


async def test_a_database_that_cannot_be_written_stops_nobody(
    access: Access, ring: KeyRing, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(key_id: str) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(ring, "mark_used", fail)
    key_id, key = ring.add("one")
    with caplog.at_level(logging.ERROR):
        assert await access.owner_of(key) == key_id
        await asyncio.to_thread(access.close)
    assert "disk full" in caplog.text


@pytest.mark.parametrize(
    ("public_url", "keyless"),
    [(None, True), ("http://localhost:8080", True), ("https://paint.example", False)],
)
async def test_a_public_name_asks_for_keys(ring: KeyRing, public_url: str | None, keyless: bool) -> None:
    access = Access(ring, "127.0.0.1", public_url=public_url)
    assert await access.keyless() == access.was_keyless == keyless
    if not keyless:
        assert await code_for(access, None) == "missingApiKey"
    await asyncio.to_thread(access.close)


async def test_keys_count_on_for_a_minute_while_they_cannot_be_read(
    access: Access, ring: KeyRing, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_id, key = ring.add("one")
    assert await access.owner_of(key) == key_id
    reads = []

    def fail() -> None:
        reads.append(1)
        raise OSError("connection refused")

    monkeypatch.setattr(ring, "snapshot", fail)
    for _ in range(50):
        clock.now_s += 1.0
        assert await access.owner_of(key) == key_id
        assert await access.is_valid(key_id)
        assert (await access.caller(key_id, "")).scopes
    # One attempt a second, and not one for every request.
    assert len(reads) == 50
    clock.now_s += 11.0
    with pytest.raises(TaskError, match="cannot read its keys") as caught:
        await access.owner_of(key)
    assert caught.value.code == "serviceUnavailable"
    assert not access.was_keyless
