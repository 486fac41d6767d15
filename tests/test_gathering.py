"""Awaiting several things at once, and one alone."""

import asyncio

import pytest

from underpaint.gathering import gather


async def test_several_run_side_by_side_and_come_in_order() -> None:
    both = asyncio.Barrier(2)

    async def meet(name: str) -> str:
        await both.wait()
        return name

    assert await asyncio.wait_for(gather([meet("one"), meet("two")]), 5) == ["one", "two"]


async def test_one_alone_is_awaited_where_it_is() -> None:
    async def task() -> asyncio.Task[object] | None:
        return asyncio.current_task()

    assert await gather([task()]) == [asyncio.current_task()]
    assert await gather([]) == []


async def test_a_failure_is_raised() -> None:
    async def fail() -> None:
        raise ValueError("no")

    for count in (1, 2):
        with pytest.raises(ValueError, match="no"):
            await gather(fail() for _ in range(count))
