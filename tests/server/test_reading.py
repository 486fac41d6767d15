"""Bodies of requests: bounded each, and all together, in size and in time; and what they say."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from underpaint.server import reading
from underpaint.server.reading import BODIES_AT_ONCE, BodyReader, read_tasks
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


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Half of a surrogate pair included.
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(tasks=st.lists(st.dictionaries(st.text(max_size=5), VALUES), min_size=1), ascii=st.booleans())
def test_a_message_says_what_json_says(tasks: list[dict[str, Any]], ascii: bool) -> None:
    message = json.dumps(tasks, ensure_ascii=ascii).encode("utf-8", "surrogatepass")
    try:
        expected = json.loads(message)
    except ValueError:
        with pytest.raises(TaskError):
            asyncio.run(read_tasks(message))
        return
    # In the text of both, 1 and 1.0 differ.
    assert repr(asyncio.run(read_tasks(message))) == repr(expected)


@pytest.mark.parametrize(
    ("message", "task"),
    [
        (b'[{"a": 1, "a": 2}]', {"a": 2}),
        (b'[{"a": 123456789012345678901234567890}]', {"a": 123456789012345678901234567890}),
        (b'[{"a": 1e999}]', {"a": math.inf}),
        (b'[{"a": "\\ud83d"}]', {"a": "\ud83d"}),
        (b'\xef\xbb\xbf[{"a": 1}]', {"a": 1}),
        (b'[{"a": ' + b"[" * 300 + b"]" * 300 + b"}]", None),
    ],
)
async def test_what_a_message_may_say_in_an_odd_way(message: bytes, task: object) -> None:
    [read] = await read_tasks(message)
    assert task is None or read == task


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b'[{"a": NaN}]', "NaN is not a JSON value"),
        (b'[{"a": -Infinity}]', "-Infinity is not a JSON value"),
        (b'[{"a": 1,}]', "line 1 column"),
        (b'[{"a": 1}', "line 1 column"),
        (b"[" * 100_000, "nested too deeply"),
        (b'[{"a": "\xff"}]', "utf-8"),
        (b'[{"a": ' + b"1" * 5000 + b"}]", "digits"),
    ],
)
async def test_why_a_message_is_no_json(message: bytes, why: str) -> None:
    with pytest.raises(TaskError, match=why) as refused:
        await read_tasks(message)
    assert refused.value.code == "invalidJson"
