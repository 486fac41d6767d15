"""What the server needs of the studio, as types: tests put a studio without an engine in its place."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from sqlalchemy import Engine

from underpaint.settings import Settings
from underpaint.studio import Cancellation, OnProgress
from underpaint.studio.caller import Caller, OnPart, Reply


class EngineDoings(Protocol):
    """What the engine has done so far, and how it is."""

    @property
    def passes(self) -> Mapping[int, int]:
        """Forward passes by their rows."""

    @property
    def pass_seconds(self) -> float: ...

    @property
    def memory_bytes(self) -> int: ...

    @property
    def models(self) -> tuple[str, ...]:
        """Names of those in memory."""


class StudioStatus(Protocol):
    """What the studio is doing, counted in results."""

    @property
    def ready(self) -> bool: ...

    @property
    def draining(self) -> bool: ...

    @property
    def waiting(self) -> int: ...

    @property
    def running(self) -> int: ...

    @property
    def engine_restarts(self) -> int: ...

    @property
    def engine(self) -> EngineDoings: ...


class OpenedImage(Protocol):
    """A stored image, read."""

    @property
    def data(self) -> bytes: ...

    @property
    def media_type(self) -> str: ...

    @property
    def created_s(self) -> float: ...

    @property
    def left_s(self) -> float | None: ...


class Studio(Protocol):
    """The floor below."""

    async def perform(
        self,
        raw: object,
        caller: Caller,
        *,
        hold_s: float = 0.0,
        on_progress: OnProgress | None = None,
        on_part: OnPart | None = None,
        cancellation: Cancellation | None = None,
    ) -> Reply:
        """Run one task. Does not raise; when cancelled, the work goes on and getResponse has its results. What ends
        the work of a synchronous task is `cancellation`.
        """

    async def open_image(
        self, image_uuid: str, extension: str, *, expires: str = "", signed: str = ""
    ) -> OpenedImage | None:
        """A stored image, None where there is none (any more). Raises `TaskError` for a link that does not hold."""

    def status(self) -> StudioStatus:
        """What it is doing at the moment."""

    async def drain(self, grace_s: float) -> None:
        """Accept nothing more, and wait for what runs, for `grace_s` at most."""


StudioFactory = Callable[[Settings, Engine], AbstractAsyncContextManager[Studio]]
