"""What may wait for a network for hours: downloads of models, and whatever looks first whether one is needed.

They have threads of their own. Those of `in_thread` are few, and everything else of the server needs them: as many
tasks that wait for a download would keep all others waiting.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from underpaint.blocking import in_own_thread

Found = TypeVar("Found")


class Downloads:
    """Those under way. Whoever asks for the same thing meanwhile waits for the same download."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Future[Any]] = {}

    async def get(self, thing: Hashable, look_up: Callable[[], Found]) -> Found:
        """What `look_up` gives or raises, in a thread. It goes on when nobody waits for it any more: the next who asks
        finds it done.

        Args:
            thing: what is looked up.
            look_up: blocks.
        """
        future = self._under_way.get(thing)
        if future is None:
            future = self._under_way[thing] = in_own_thread(look_up, name="download")
            future.add_done_callback(lambda _: self._under_way.pop(thing))
        found: Found = await asyncio.shield(future)
        return found
