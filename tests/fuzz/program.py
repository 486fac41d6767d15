"""A server whose engine paints plain colours at once; everything else is real. Reads the settings' environment."""

from typing import Any

from tests.studio.conftest import PaintingEngine


class PaintingProcess(PaintingEngine):
    """Takes the engine process's place."""

    def __init__(self, options: object, *, stall_s: float) -> None:
        super().__init__()

    async def start(self) -> None:
        pass

    def submit(self, requests: Any, **how: Any) -> Any:
        # It would keep every job for ever.
        self.jobs.clear()
        return super().submit(requests, **how)


if __name__ == "__main__":
    from underpaint.studio import studio

    vars(studio)["EngineProcess"] = PaintingProcess
    from underpaint.server.run import serve
    from underpaint.settings import load_settings

    serve(load_settings().settings)
