"""What may wait for a network for hours: downloads of models, and whatever looks first whether one is needed.

They have threads of their own. Those of `asyncio.to_thread` are few, and everything else of the server needs them: as
many tasks that wait for a download would keep all others waiting.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

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
            future = self._under_way[thing] = in_own_thread(look_up)
            future.add_done_callback(lambda _: self._under_way.pop(thing))
        found: Found = await asyncio.shield(future)
        return found


def in_own_thread(call: Callable[[], Found]) -> asyncio.Future[Found]:
    """What a call gives that blocks for any time. Its thread keeps no process from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Found] = loop.create_future()
    # A failure that nobody waits for any more is no news.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())

    def set_outcome(found: Found | None, failure: BaseException | None) -> None:
        if future.cancelled():
            return
        if failure is not None:
            future.set_exception(failure)
        else:
            future.set_result(found)  # type: ignore[arg-type]

    def run() -> None:
        found, failure = None, None
        try:
            found = call()
        except BaseException as raised:
            failure = raised
        # The loop may have ended meanwhile.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(set_outcome, found, failure)

    threading.Thread(target=run, name="download", daemon=True).start()
    return future
