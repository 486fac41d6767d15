"""Calls that block, made in threads while the event loop goes on.

`asyncio.to_thread` hands each call to the thread that has been idle for longest, whose memory is in no cache any more,
wakes a second one for nothing, and passes the outcome through two futures. Here the thread that was busy last is taken,
and tells the loop itself (docs/decisions/031).
"""

import asyncio
import atexit
import contextlib
import contextvars
import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar

Params = ParamSpec("Params")
Result = TypeVar("Result")

MOST_THREADS = min(32, (os.cpu_count() or 1) + 4)
"""That `in_thread` uses, as many as `asyncio.to_thread` does; further calls wait until one of these is done."""


async def in_thread(call: Callable[Params, Result], *args: Params.args, **kwargs: Params.kwargs) -> Result:
    """What a call gives or raises that takes no longer than a disk or a database does: threads for these are few.

    Whoever is cancelled waits no longer, and the call is not made if it has not begun.
    """
    return await _POOL.make(_Call(partial(call, *args, **kwargs)))


def in_own_thread(call: Callable[[], Result], *, name: str) -> asyncio.Future[Result]:
    """What a call gives or raises that blocks for any time. Its thread keeps no process from ending."""
    waiting = _Call(call)
    # A failure that nobody waits for any more is no news.
    waiting.future.add_done_callback(lambda done: done.cancelled() or done.exception())
    threading.Thread(target=waiting.make_and_tell, name=name, daemon=True).start()
    return waiting.future


class _Call(Generic[Result]):
    """A call on its way through a thread and back."""

    def __init__(self, call: Callable[[], Result]) -> None:
        self._call: Callable[[], Result] | None = partial(contextvars.copy_context().run, call)
        self._loop = asyncio.get_running_loop()
        self._result: Result | None = None
        self._failure: BaseException | None = None
        self.future: asyncio.Future[Result] = self._loop.create_future()

    def make(self) -> None:
        """In the thread. Of the call nothing is kept but what came of it."""
        call, self._call = self._call, None
        if self.future.cancelled():
            return
        assert call is not None
        try:
            self._result = call()
        except BaseException as failure:
            self._failure = failure

    def tell(self) -> None:
        """In the thread: have the loop know. It may have ended meanwhile."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._settle)

    def make_and_tell(self) -> None:
        """In a thread of its own."""
        self.make()
        self.tell()

    def _settle(self) -> None:
        future, failure = self.future, self._failure
        # A failure's frames lead here. If this led back to it, whoever catches it could not let go of it, and of all
        # that the call had in its hands.
        del self.future, self._failure
        if future.cancelled():
            return
        if failure is not None:
            future.set_exception(failure)
        else:
            future.set_result(self._result)  # type: ignore[arg-type]


class _Pool:
    """Threads that make calls: the one that was busy last first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._threads: list[_Thread] = []
        self._idle: list[_Thread] = []
        self._waiting: deque[_Call[Any]] = deque()
        self._lock = threading.Lock()

    def make(self, call: _Call[Result]) -> asyncio.Future[Result]:
        """Have a thread make it."""
        with self._lock:
            if self._idle:
                self._idle.pop().make(call)
            elif len(self._threads) < self._most:
                thread = _Thread(f"blocking {len(self._threads)}", self.next_of)
                self._threads.append(thread)
                thread.make(call)
            else:
                self._waiting.append(call)
        return call.future

    def next_of(self, thread: "_Thread") -> _Call[Any] | None:
        """What a thread does next; None where it is idle from now on."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._idle.append(thread)
            return None

    def finish(self) -> None:
        """Wait for the calls under way."""
        for thread in self._threads:
            thread.end()


class _Thread:
    """One of them.

    Args:
        name: of the thread.
        next_of: is asked after each call what is to be done next.
    """

    def __init__(self, name: str, next_of: Callable[["_Thread"], _Call[Any] | None]) -> None:
        self._next_of = next_of
        self._calls: queue.SimpleQueue[_Call[Any] | None] = queue.SimpleQueue()
        # The pool waits for it when the process ends; Python itself would wait for its next call.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def make(self, call: _Call[Any]) -> None:
        """Make a call. The thread is idle."""
        self._calls.put(call)

    def end(self) -> None:
        """Make no further calls, and wait for the one under way."""
        self._calls.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            while call is not None:
                call.make()
                # Idle before anybody hears of it: who has waited for this call may make the next one at once.
                following = self._next_of(self)
                call.tell()
                call = following


_POOL = _Pool(MOST_THREADS)
atexit.register(_POOL.finish)
