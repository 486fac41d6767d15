"""The engine's process waits for commands, and rests when none come."""

import queue
import threading
from typing import cast

import pytest

from underpaint.engine import worker
from underpaint.engine.engine import Engine
from underpaint.engine.messages import Cancel, Command, Stop


class Idle:
    """An engine that has nothing to do, or is told that it has."""

    def __init__(self) -> None:
        self.busy = False
        self.rested = threading.Semaphore(0)

    def rest(self) -> None:
        self.rested.release()


def waiting(engine: Idle, commands: "queue.SimpleQueue[Command]") -> list[Command]:
    return worker._waiting(cast(Engine, engine), commands)


def test_an_idle_engine_rests_once_and_takes_the_next_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "REST_AFTER_S", 0.01)
    engine, commands = Idle(), queue.SimpleQueue[Command]()
    taken: list[list[Command]] = []
    thread = threading.Thread(target=lambda: taken.append(waiting(engine, commands)))
    thread.start()
    assert engine.rested.acquire(timeout=10)
    assert not engine.rested.acquire(timeout=0.1)
    commands.put(Stop())
    thread.join(10)
    assert taken == [[Stop()]]


def test_what_has_come_is_taken_at_once_and_without_rest() -> None:
    engine, commands = Idle(), queue.SimpleQueue[Command]()
    for _ in range(2):
        commands.put(Cancel(job_ids=("one",)))
    assert len(waiting(engine, commands)) == 2
    engine.busy = True
    assert waiting(engine, commands) == []
    assert not engine.rested.acquire(blocking=False)
