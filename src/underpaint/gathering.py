"""Awaiting several things at once."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

Result = TypeVar("Result")


async def gather(coroutines: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """What all of them give, in their order, like `asyncio.gather`. That makes a task of each, which takes as long as
    much of what a request does; one that is alone, as most are, is awaited as it is.
    """
    listed = list(coroutines)
    if len(listed) == 1:
        return [await listed[0]]
    return await asyncio.gather(*listed)
