"""Servers of `program` that start at once: forked from a process that has imported everything already."""

import asyncio
import multiprocessing
import os
from collections.abc import Mapping
from pathlib import Path

PRELOADED = (
    "__main__",
    "tests.crash.program",
    "tests.studio.conftest",
    "underpaint.server.run",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "uvloop",
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


def _run(environment: dict[str, str], log: str) -> None:
    os.environ.update(environment)
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    from tests.crash import program

    program.FOLDER = Path(environment["CRASH_FOLDER"])
    program.run()
