"""Calls in threads: their outcomes, which threads make them, and what becomes of those that nobody waits for."""

import asyncio
import contextvars
import gc
import subprocess
import sys
import threading
import weakref
from functools import partial

import pytest

from underpaint.blocking import MOST_THREADS, in_own_thread, in_thread

SAID = contextvars.ContextVar("said", default="nothing")


class Gate:
    """Keeps calls from ending until it is opened."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.opened = threading.Event()

    def wait(self) -> int:
        self.begun.release()
        assert self.opened.wait(60)
        return threading.get_ident()

    async def until_begun(self, calls: int) -> None:
        for _ in range(calls):
            assert await asyncio.to_thread(self.begun.acquire, timeout=60)


async def test_a_call_gives_what_it_gives_and_raises_what_it_raises() -> None:
    assert await in_thread(divmod, 7, 2) == (3, 1)
    assert await in_thread(sorted, [1, 3, 2], reverse=True) == [3, 2, 1]
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 7, 0)
    assert await in_own_thread(partial(divmod, 7, 2), name="own") == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await in_own_thread(partial(divmod, 7, 0), name="own")


async def test_what_a_failed_call_had_in_its_hands_is_let_go_with_its_failure() -> None:
    held = list[weakref.ref[Gate]]()

    def fail() -> None:
        picture = Gate()
        held.append(weakref.ref(picture))
        raise OSError("the picture cannot be read")

    gc.disable()
    try:
        for wait_for in (in_thread(fail), in_own_thread(fail, name="own")):
            with pytest.raises(OSError, match="cannot be read"):
                await wait_for
            del wait_for
            async with asyncio.timeout(10):
                while held[-1]() is not None:  # noqa: ASYNC110 -- a thread is about to let go, and tells nobody
                    await asyncio.sleep(0.01)
    finally:
        gc.enable()


async def test_calls_see_the_context_of_whoever_makes_them() -> None:
    SAID.set("something")
    assert await in_thread(SAID.get) == "something"
    await in_thread(SAID.set, "something else")
    assert SAID.get() == "something"


async def test_one_after_the_other_they_come_to_the_same_thread() -> None:
    gate = Gate()
    many = [asyncio.ensure_future(in_thread(gate.wait)) for _ in range(MOST_THREADS)]
    await gate.until_begun(MOST_THREADS)
    gate.opened.set()
    assert len(set(await asyncio.gather(*many))) == MOST_THREADS
    assert len({await in_thread(threading.get_ident) for _ in range(100)}) == 1


async def test_more_than_there_are_threads_wait_their_turn() -> None:
    gate, made = Gate(), list[int]()
    busy = [asyncio.ensure_future(in_thread(gate.wait)) for _ in range(MOST_THREADS)]
    await gate.until_begun(MOST_THREADS)
    waiting = [asyncio.ensure_future(in_thread(made.append, number)) for number in range(50)]
    await asyncio.sleep(0.05)
    assert not made
    gate.opened.set()
    await asyncio.gather(*busy, *waiting)
    assert sorted(made) == list(range(50))


async def test_what_is_cancelled_before_it_begins_is_not_done() -> None:
    gate, made = Gate(), list[int]()
    busy = [asyncio.ensure_future(in_thread(gate.wait)) for _ in range(MOST_THREADS)]
    await gate.until_begun(MOST_THREADS)
    given_up = asyncio.ensure_future(in_thread(made.append, 1))
    wanted = asyncio.ensure_future(in_thread(made.append, 2))
    await asyncio.sleep(0.05)
    given_up.cancel()
    busy[0].cancel()
    await asyncio.wait([given_up, busy[0]])
    gate.opened.set()
    await asyncio.gather(*busy[1:], wanted)
    assert made == [2]
    assert await in_thread(divmod, 7, 2) == (3, 1)


async def test_many_tasks_get_their_own_outcomes() -> None:
    async def ask(number: int) -> bool:
        return all([await in_thread(pow, number, 2) == number**2 for _ in range(50)])

    assert all(await asyncio.gather(*map(ask, range(40))))


def test_a_loop_that_has_ended_is_told_nothing() -> None:
    gate = Gate()

    async def leave() -> None:
        left = asyncio.ensure_future(in_thread(gate.wait))
        await gate.until_begun(1)
        left.cancel()

    asyncio.run(leave())
    gate.opened.set()
    assert asyncio.run(in_thread(divmod, 7, 2)) == (3, 1)


def test_a_process_ends_when_what_is_under_way_has_ended() -> None:
    program = """
import asyncio, time
from underpaint.blocking import in_own_thread, in_thread

def slowly():
    time.sleep(0.5)
    print("done", flush=True)

async def main():
    in_own_thread(lambda: time.sleep(600), name="forever")
    asyncio.ensure_future(in_thread(slowly))
    await in_thread(time.sleep, 0.1)

asyncio.run(main())
print("over", flush=True)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout.split(), ended.stderr) == (0, ["over", "done"], "")
