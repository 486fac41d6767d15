"""A server that kills itself, or whose engine kills itself or both, at a named moment, once.

The environment says where: CRASH_POINT is one of `SERVER_POINTS`, and CRASH_FOLDER holds a marker so that it happens
once. With CRASH_ENGINE=1 the engine is the real one, in a process of its own, which runs this module again; there the
file `order` in the folder names one of `ENGINE_POINTS` and one of `VICTIMS`, and is removed when it is obeyed.
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
    "before writing behind",
    "before flushing behind",
    "after writing behind",
)
STEPS = 6
ENGINE_POINTS = (
    "queued",
    "encoding the seed",
    *(f"step {number}" for number in range(1, STEPS + 1)),
    "decoding",
    "checkpoint half written",
)
VICTIMS = ("engine", "server", "both")
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
    from underpaint.studio import picture_files
    from underpaint.studio.journal import Journal
    from underpaint.studio.pictures import Pictures

    _around(Journal, "accept", before="before accepting", after="after accepting")
    _around(Pictures, "put", before="before the file", after="after the file")
    _around(ImageStore, "put_blocking", before="before writing behind", after="before flushing behind")
    _around(ImageStore, "flush_blocking", before="", after="after writing behind")
    # Files are written before the tasks are over.
    picture_files.WRITE_BEHIND_S = 0.01
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


def _obey(point: str) -> None:
    """In the engine: kill who is to be killed, if this is where."""
    order = FOLDER / "order"
    if not order.exists() or order.read_text().split(":")[0] != point:
        return
    victim = order.read_text().split(":")[1]
    order.unlink()
    if victim != "engine":
        # A forked engine is no child of its server.
        os.kill(int(os.environ.get("CRASH_SERVER") or os.getppid()), signal.SIGKILL)
    if victim != "server":
        _kill()


def _prepare_engine() -> None:
    from underpaint.engine import checkpoints, engine, trajectory

    def before(owner: Any, name: str, point: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def obeying(*args: Any, **kwargs: Any) -> Any:
            _obey(point)
            return original(*args, **kwargs)

        setattr(owner, name, obeying)

    before(engine.Engine, "submit", "queued")
    before(trajectory, "encoded_picture", "encoding the seed")
    before(trajectory.Trajectory, "paint", "decoding")
    forward, forwards = engine.Engine._forward, 0

    def counted(self: Any, batch: Any) -> None:
        nonlocal forwards
        forward(self, batch)
        forwards = forwards + 1 if (FOLDER / "order").exists() else 0
        _obey(f"step {forwards}")

    engine.Engine._forward = counted  # type: ignore[method-assign]
    write = vars(checkpoints)["replace_file"]

    def torn(path: Path, content: bytes, **options: Any) -> None:
        order = FOLDER / "order"
        if order.exists() and order.read_text().startswith("checkpoint half written"):
            # As after a power cut: the name is there, and not all of the bytes.
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content[: len(content) // 2])
            _obey("checkpoint half written")
            return
        write(path, content, **options)

    vars(checkpoints)["replace_file"] = torn


def run_engine(*args: Any) -> None:
    """Be the engine of a server that was forked."""
    _prepare_engine()
    from underpaint.engine.worker import run_worker

    run_worker(*args)


def run() -> None:
    """Serve, until killed or told to stop."""
    _prepare_server()
    if not os.environ.get("CRASH_ENGINE"):
        _prepare_painting()
    from underpaint.server.run import serve
    from underpaint.settings import load_settings

    serve(load_settings().settings)


if __name__ == "__mp_main__":
    _prepare_engine()
elif __name__ == "__main__":
    run()
