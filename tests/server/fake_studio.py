"""A studio without an engine. What a task does is said by its prompt."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from sqlalchemy import Engine

from underpaint.engine.process import Doings
from underpaint.settings import Settings
from underpaint.studio import Cancellation, OnProgress
from underpaint.studio.caller import Caller, OnPart, Reply
from underpaint.wire import Acknowledgement, CancelResult, ImageResult, TaskError, task_identity

IMAGE_UUID = "0b9f8f6e-59ab-4d55-9ac3-3a1f57cb3a55"
JPEG = b"\xff\xd8\xff not really a picture"
CREATED_S = 1_700_000_000.25


@dataclass(frozen=True, kw_only=True)
class FakeStatus:
    ready: bool = True
    draining: bool = False
    waiting: int = 0
    running: int = 0
    engine_restarts: int = 0
    engine: Doings = field(default_factory=Doings)


@dataclass(frozen=True, kw_only=True)
class FakeImage:
    data: bytes
    media_type: str
    created_s: float
    left_s: float | None = None


class FakeStudio:
    """Answers at once, unless the prompt is "wait": then when `let_go` is called, or the task is cancelled."""

    def __init__(self) -> None:
        self.now = FakeStatus()
        self.callers: list[Caller] = []
        self.holds_s: list[float] = []
        self.opened: list[tuple[str, str]] = []
        self.started: asyncio.Queue[str] = asyncio.Queue()
        self.drained_for_s: float | None = None
        self._accepted: set[str] = set()
        self.listeners: dict[str, OnProgress] = {}
        """Of the waiting tasks whose callers can be told how far they are."""
        self.cancelled: list[str] = []
        self._gates: dict[str, asyncio.Event] = {}
        self._waiting = 0
        self._interrupted = False

    def let_go(self, task_uuid: str) -> None:
        """Let a waiting task finish."""
        self._gates.setdefault(task_uuid, asyncio.Event()).set()

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
        self.callers.append(caller)
        self.holds_s.append(hold_s)
        task_type, task_uuid = task_identity(raw)
        if not isinstance(raw, dict) or task_type is None or task_uuid is None:
            return _refused(TaskError("invalidTask", "No task."), raw)
        if task_type == "getResponse":
            return Reply(data=(_result(raw, task_uuid, status="success"),))
        if task_type == "cancelTask":
            if task_uuid not in self._accepted:
                return _refused(TaskError("taskNotFound", "No such task."), raw)
            self._cancel(task_uuid)
            return Reply(data=(CancelResult(task_uuid=task_uuid, status="cancelled").item(),))
        if task_uuid in self._accepted:
            return _refused(TaskError("conflictTaskUUID", "Again."), raw)
        self._accepted.add(task_uuid)
        self.started.put_nowait(task_uuid)
        prompt = raw.get("positivePrompt")
        if prompt == "crash":
            raise RuntimeError("nobody foresaw this")
        if prompt == "wait":
            self._waiting += 1
            if on_progress is not None:
                self.listeners[task_uuid] = on_progress
            if cancellation is not None:
                cancellation.stops(partial(self._cancel, task_uuid))
            gate = self._gates.setdefault(task_uuid, asyncio.Event())
            await gate.wait()
            self._waiting -= 1
            if task_uuid in self.cancelled:
                return _refused(TaskError("taskCancelled", "Cancelled."), raw)
            if self._interrupted:
                return _refused(TaskError("serviceUnavailable", "It goes on after the restart."), raw)
        if prompt == "in parts":
            parts = [_result(raw, task_uuid, position=number) for number in range(3)]
            if on_part is None:
                return Reply(data=tuple(parts))
            for part in parts[:-1]:
                await on_part([part])
            await self._gates.setdefault(task_uuid, asyncio.Event()).wait()
            return Reply(data=(parts[-1],))
        if prompt == "bad strength":
            return _refused(TaskError("invalidStrength", "Too strong.", parameter="strength"), raw)
        if prompt == "full":
            return _refused(TaskError("rateLimitExceeded", "Full."), raw)
        if raw.get("deliveryMethod") == "async":
            return Reply(data=(Acknowledgement(task_type=task_type, task_uuid=task_uuid).item(),))
        count = raw.get("numberResults", 1)
        size_bytes = raw.get("sizeBytes")
        text = "A" * size_bytes if isinstance(size_bytes, int) else None
        return Reply(data=tuple(_result(raw, task_uuid, position=i, base64=text) for i in range(count)))

    def _cancel(self, task_uuid: str) -> None:
        self.cancelled.append(task_uuid)
        self.let_go(task_uuid)

    async def open_image(
        self, image_uuid: str, extension: str, *, expires: str = "", signed: str = ""
    ) -> FakeImage | None:
        self.opened.append((image_uuid, extension))
        if signed == "wrong":
            raise TaskError("insufficientPermissions", f"The link has expired at {expires}.")
        if (image_uuid, extension) != (IMAGE_UUID, "jpg"):
            return None
        return FakeImage(data=JPEG, media_type="image/jpeg", created_s=CREATED_S)

    def status(self) -> FakeStatus:
        return replace(self.now, running=self.now.running + self._waiting)

    async def drain(self, grace_s: float) -> None:
        self.drained_for_s = grace_s
        self.now = FakeStatus(ready=False, draining=True)
        waiting = [gate.wait() for gate in self._gates.values()]
        if waiting:
            tasks = [asyncio.ensure_future(wait) for wait in waiting]
            await asyncio.wait(tasks, timeout=grace_s)
            for task in tasks:
                task.cancel()
        self._interrupted = True
        for gate in self._gates.values():
            gate.set()

    @asynccontextmanager
    async def open(self, settings: Settings, database: Engine) -> AsyncIterator["FakeStudio"]:
        """The factory that `create_app` takes."""
        yield self


def _result(
    raw: Mapping[str, object],
    task_uuid: str,
    *,
    position: int = 0,
    status: str | None = None,
    base64: str | None = None,
) -> dict[str, object]:
    return ImageResult(
        task_uuid=task_uuid,
        image_uuid=f"{position:08}-0000-4000-8000-000000000000",
        seed=7 + position,
        image_url=f"http://localhost/images/{position:08}-0000-4000-8000-000000000000.jpg",
        image_base64_data=base64,
        status=status,
    ).item()


def _refused(error: TaskError, raw: object) -> Reply:
    task_type, task_uuid = task_identity(raw)
    return Reply(errors=((error.status_code, error.item(task_uuid=task_uuid, task_type=task_type)),))
