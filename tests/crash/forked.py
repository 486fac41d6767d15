"""Servers of `program`, and their engines, that start at once: forked from a process that has imported everything."""

import asyncio
import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

PRELOADED = (
    "__main__",
    "tests.crash.program",
    "tests.studio.conftest",
    "underpaint.server.run",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "uvloop",
    "httpx",
    "aiohttp.web",
    "tests.crash.forked",
    "tests.crash.imports",
)
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(list(PRELOADED))


class ForkedProcess:
    """As much of `asyncio.subprocess.Process` as the campaign needs."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        """Start; what it says goes into the file `log`."""
        self._process = _forks.Process(target=_run, args=(dict(environment), str(log)))
        self._process.start()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    async def wait(self) -> int:
        over, loop = asyncio.Event(), asyncio.get_running_loop()
        loop.add_reader(self._process.sentinel, over.set)
        try:
            await over.wait()
        finally:
            loop.remove_reader(self._process.sentinel)
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode


class ForkedEngines:
    """As much of multiprocessing as a server needs to start its engine: which then is forked, too."""

    def get_context(self, method: str) -> "ForkedEngines":
        return self

    def Pipe(self) -> tuple[Connection, Connection]:
        return _forks.Pipe()

    def Process(self, *, target: Any, args: tuple[Any, ...], name: str, daemon: bool) -> BaseProcess:
        environment = {**os.environ, "CRASH_SERVER": str(os.getpid())}
        return _forks.Process(target=_run_engine, args=(environment, *args), name=name, daemon=daemon)


def _run(environment: dict[str, str], log: str) -> None:
    # The process that forked this one forks its engine as well: this one knows its address, and would start its own.
    vars(forkserver)["_forkserver"].ensure_running = lambda: None
    program = _prepared({**environment, "CRASH_LOG": log})
    from underpaint.engine import process

    vars(process)["PROCESSES"] = ForkedEngines()
    program.run()


def _run_engine(environment: dict[str, str], *args: Any) -> None:
    _prepared(environment).run_engine(*args)


def _prepared(environment: dict[str, str]) -> Any:
    """The module of the program, in its environment."""
    os.environ.update(environment)
    os.dup2(os.open(environment["CRASH_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    from tests.crash import program

    program.FOLDER = Path(environment["CRASH_FOLDER"])
    return program
