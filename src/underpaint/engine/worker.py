"""The engine's own process: commands come in through a pipe, events go out.

A crash, an out-of-memory kill or a wedged driver ends this process and nothing else; `process` starts another.
"""

import contextlib
import logging
import queue
import signal
import threading
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from underpaint.engine.messages import Cancel, Command, EngineOptions, Event, Ready, Stop, Submit

if TYPE_CHECKING:
    from underpaint.engine.engine import Engine

REST_AFTER_S = 0.3
"""An engine that has had nothing to do for so long may take some milliseconds for itself."""


def run_worker(connection: Connection, options: EngineOptions, log_level: int) -> None:
    """Serve commands until told to stop or until the parent has gone."""
    # An interrupt from the terminal reaches the whole process group, and service managers tell every process of a
    # service to end. When to leave is the parent's to say: it lets jobs finish first.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(level=log_level, format="%(levelname)s engine: %(message)s")
    commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
    # The pipe is emptied by a thread of its own, so that the parent never blocks on it while a forward pass runs.
    threading.Thread(target=_receive, args=(connection, commands), daemon=True).start()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        _serve(connection, commands, options)


def _receive(connection: Connection, commands: "queue.SimpleQueue[Command]") -> None:
    try:
        while True:
            commands.put(connection.recv())
    except (EOFError, OSError):
        commands.put(Stop())


def _serve(connection: Connection, commands: "queue.SimpleQueue[Command]", options: EngineOptions) -> None:
    # Importing torch takes seconds; the parent process never does.
    from underpaint.engine.engine import Engine

    def emit(event: Event) -> None:
        connection.send(event)

    engine = Engine(options, emit=emit)
    emit(Ready(device=str(engine.device)))
    try:
        _work(engine, commands)
    finally:
        engine.close()


def _work(engine: "Engine", commands: "queue.SimpleQueue[Command]") -> None:
    while True:
        for command in _waiting(engine, commands):
            match command:
                case Submit():
                    engine.submit(command.requests)
                case Cancel():
                    engine.cancel(command.job_ids)
                case Stop():
                    return
        if engine.busy:
            engine.tick()


def _waiting(engine: "Engine", commands: "queue.SimpleQueue[Command]") -> list[Command]:
    """All commands that have come; while the engine has nothing to do, at least one."""
    taken: list[Command] = []
    if not engine.busy:
        try:
            taken.append(commands.get(timeout=REST_AFTER_S))
        except queue.Empty:
            engine.rest()
            taken.append(commands.get())
    while not commands.empty():
        taken.append(commands.get())
    return taken
