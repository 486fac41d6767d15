"""Bodies of requests: bounded each, and all together, in size and in time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from underpaint.server import reading
from underpaint.server.reading import BODIES_AT_ONCE, BodyReader
from underpaint.wire import TaskError


async def parts(
    *pieces: bytes, pause_s: float = 0.0, then: asyncio.Event | None = None
) -> AsyncIterator[bytes]:
    for piece in pieces:
        await asyncio.sleep(pause_s)
        yield piece
    if then is not None:
        await then.wait()


async def test_a_body_is_its_parts() -> None:
    assert await BodyReader(10).read(parts(b"abc", b"", b"def"), None) == b"abcdef"


@pytest.mark.parametrize("declared", [11, None, 3])
async def test_a_body_over_the_limit_is_refused(declared: int | None) -> None:
    with pytest.raises(TaskError) as refused:
        await BodyReader(10).read(parts(b"x" * 6, b"x" * 5), declared)
    assert refused.value.status_code == 413


async def test_drops_do_not_keep_a_request_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BODY_PAUSE_S", 0.3)
    with pytest.raises(TaskError) as refused:
        await BodyReader(1000).read(parts(*[b"x"] * 100, pause_s=0.05), None)
    assert refused.value.status_code == 408


async def test_all_bodies_share_a_budget_and_give_it_back() -> None:
    reader, arrived = BodyReader(100), asyncio.Event()
    slow = [
        asyncio.ensure_future(reader.read(parts(b"x" * 100, then=arrived), None))
        for _ in range(BODIES_AT_ONCE)
    ]
    await asyncio.sleep(0.05)
    with pytest.raises(TaskError) as refused:
        await reader.read(parts(b"y"), None)
    assert refused.value.status_code == 503
    arrived.set()
    assert [len(await each) for each in slow] == [100] * BODIES_AT_ONCE
    assert await reader.read(parts(b"y" * 100), None) == b"y" * 100


async def test_a_body_that_breaks_off_gives_its_share_back() -> None:
    reader, never = BodyReader(100), asyncio.Event()
    for _ in range(3 * BODIES_AT_ONCE):
        broken = asyncio.ensure_future(reader.read(parts(b"x" * 100, then=never), None))
        await asyncio.sleep(0.01)
        broken.cancel()
        await asyncio.gather(broken, return_exceptions=True)
    assert await reader.read(parts(b"y"), None) == b"y"
