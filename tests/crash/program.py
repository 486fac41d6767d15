"""A server that kills itself at a named moment, once.

The environment says where: CRASH_POINT is one of `SERVER_POINTS`, and CRASH_FOLDER holds a marker so that it happens
once. With CRASH_ENGINE=1 the engine is the real one, which kills itself in the tick whose number stands in the file
`tick`; it runs this module again in its own process, as the start of a child does.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

SERVER_POINTS = (
    "before accepting",
    "after accepting",
    "before the file",
    "after the file",
    "before the result",
    "after the result",
    "before the end",
    "after the end",
    "webhook sent",
)
FOLDER = Path(os.environ.get("CRASH_FOLDER", "."))


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_once() -> None:
    try:
        os.close(os.open(FOLDER / "killed", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    _kill()


def _around(owner: Any, name: str, *, before: str, after: str) -> None:
    """Kill before or after a method does its work, if that is the point."""
    point, original = os.environ.get("CRASH_POINT"), getattr(owner, name)

    def plain(*args: Any, **kwargs: Any) -> Any:
        if point == before:
            _kill_once()
        answer = original(*args, **kwargs)
        if point == after:
            _kill_once()
        return answer

    async def asynchronous(*args: Any, **kwargs: Any) -> Any:
        if point == before:
            _kill_once()
        answer = await original(*args, **kwargs)
        if point == after:
            _kill_once()
        return answer

    import inspect

    setattr(owner, name, asynchronous if inspect.iscoroutinefunction(original) else plain)


def _prepare_server() -> None:
    from underpaint.images import Fetcher, ImageStore
    from underpaint.studio.journal import Journal

    _around(Journal, "accept", before="before accepting", after="after accepting")
    _around(ImageStore, "put_blocking", before="before the file", after="after the file")
    _around(Journal, "add_result", before="before the result", after="after the result")
    _around(Journal, "succeed", before="before the end", after="after the end")
    _around(Fetcher, "send", before="", after="webhook sent")


def _prepare_painting() -> None:
    """An engine that needs no torch: what the server does is the same."""
    from tests.studio.conftest import PaintingEngine
    from underpaint.studio import studio

    class Painting(PaintingEngine):
        def __init__(self, options: object, *, stall_s: float) -> None:
            super().__init__()

        async def start(self) -> None:
            pass

    vars(studio)["EngineProcess"] = Painting


def _prepare_engine() -> None:
    from underpaint.engine import engine

    original: Callable[[Any], None] = engine.Engine.tick
    ticks = 0

    def tick(self: Any) -> None:
        nonlocal ticks
        order = FOLDER / "tick"
        if order.exists():
            ticks += 1
            if ticks >= int(order.read_text()):
                order.unlink()
                _kill()
        original(self)

    engine.Engine.tick = tick  # type: ignore[method-assign]


if __name__ == "__mp_main__":
    _prepare_engine()
elif __name__ == "__main__":
    _prepare_server()
    if not os.environ.get("CRASH_ENGINE"):
        _prepare_painting()
    from underpaint.server.run import serve
    from underpaint.settings import load_settings

    serve(load_settings().settings)
