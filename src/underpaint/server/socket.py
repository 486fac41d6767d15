"""The WebSocket: one connection, from its upgrade to its end.

Each message is an array of tasks. Tasks run side by side, and each is answered in frames of its own, as soon
as it is finished, because clients hand a whole frame to every task that they find in it.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from underpaint.server.addresses import base_url
from underpaint.server.dispatch import refusal
from underpaint.server.reading import read_tasks
from underpaint.server.services import Services, services_of
from underpaint.server.sessions import Session
from underpaint.studio import Cancellation
from underpaint.studio.caller import Caller, Item, Reply
from underpaint.wire import (
    AuthenticationResult,
    AuthenticationTask,
    Pong,
    TaskError,
    frames,
    parse_task,
    progress_frames,
    task_identity,
)

AUTHENTICATION_LIMIT_S = 30.0
"""How long a connection may be without a valid key: after it was opened, and after a wrong key. A wrong key
does not end it at once, so that its client reads why."""
IDLE_LIMIT_S = 120.0
"""How long a connection lives after the last message in either direction, while none of its tasks runs."""
SEND_LIMIT_S = 60.0
"""How long a client may take no bytes before it counts as gone."""
CLOSE_LIMIT_S = 1.0
"""How long the close frame may take to go out behind what a client does not read."""
HOLD_S = 25.0
"""How long getResponse waits for its task to be finished. One client wastes 33 s on each answer that brings
nothing; all are patient for 30 s."""
MAX_TASKS_IN_FLIGHT = 256
"""Tasks of one connection that may be unanswered. Official clients stay below 20."""

log = logging.getLogger(__name__)


async def serve_socket(websocket: WebSocket) -> None:
    """Serve a connection until it ends. Query parameters of the upgrade have no meaning here."""
    services = services_of(websocket)
    if services.draining:
        await websocket.send_denial_response(Response("The server is stopping.", 503, {"Retry-After": "5"}))
        return
    await websocket.accept()
    connection = SocketConnection(websocket, services)
    services.connections.add(connection)
    services.metrics.websocket_connections.inc()
    try:
        await connection.serve()
    finally:
        services.connections.discard(connection)
        services.metrics.websocket_connections.dec()


_RUNWARE_SDK = "runware-python/"
"""How runware-sdk, of PyPI, names itself. The older client of that language says "python" elsewhere."""


class SocketConnection:
    """An open socket and who is at its other end."""

    def __init__(self, websocket: WebSocket, services: Services) -> None:
        self._websocket = websocket
        self._services = services
        self._base_url = base_url(websocket, services.settings.public_url)
        self._ends_with_first_item = websocket.headers.get("user-agent", "").startswith(_RUNWARE_SDK)
        """Whether the client takes the first item of a reply for all of it, and an error that comes after it for one of
        every task that it has."""
        self._session: Session | None = None
        self._sending = asyncio.Lock()
        self._open = True
        self._waiting: asyncio.Timeout | None = None
        self._unanswered: Counter[Session] = Counter()
        """Tasks that came over this connection, by the session that they answer to."""
        self._last_message_s = self._unauthenticated_since_s = time.monotonic()

    async def serve(self) -> None:
        """Read messages until the connection ends."""
        try:
            while self._open:
                remaining_s = self._remaining_s()
                if remaining_s <= 0:
                    await self.close(*self._overdue())
                    return
                try:
                    async with asyncio.timeout(remaining_s) as self._waiting:
                        message = await self._websocket.receive()
                except TimeoutError:
                    continue
                finally:
                    self._waiting = None
                if message["type"] == "websocket.disconnect":
                    return
                self._last_message_s = time.monotonic()
                await self._read(message)
        except WebSocketDisconnected:
            # Another task closed it before the loop came back to reading.
            return
        finally:
            self._open = False
            for session in (*self._unanswered, *filter(None, [self._session])):
                self._services.sessions.detach(session, self)

    async def send(self, frame: str) -> bool:
        """Send one frame, after those before it. False when the connection is gone, and the frame with it."""
        async with self._sending:
            if not self._open:
                return False
            try:
                async with asyncio.timeout(SEND_LIMIT_S):
                    await self._websocket.send_text(frame)
            except TimeoutError:
                log.info("a client took no bytes for %g s", SEND_LIMIT_S)
                self._end()
                return False
            except (OSError, WebSocketDisconnect, WebSocketDisconnected):
                self._end()
                return False
            self._last_message_s = time.monotonic()
            return True

    async def close(self, code: int, reason: str) -> None:
        """End the connection. Does nothing when it has ended."""
        if not self._open:
            return
        self._open = False
        with contextlib.suppress(OSError, WebSocketDisconnect, WebSocketDisconnected, TimeoutError):
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self._websocket.close(code, reason)
        self._end()

    async def leave(self, session: Session) -> None:
        """Another connection has resumed that session."""
        if session is self._session:
            # The client came back before the server noticed that it had gone.
            await self.close(1012, "resumed on another connection")

    def _end(self) -> None:
        """Let the reading loop end, which otherwise would wait for a client that says nothing more."""
        self._open = False
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())

    def _remaining_s(self) -> float:
        now_s = time.monotonic()
        if self._session is None:
            return self._unauthenticated_since_s + AUTHENTICATION_LIMIT_S - now_s
        if self._unanswered:
            return IDLE_LIMIT_S
        return self._last_message_s + IDLE_LIMIT_S - now_s

    def _overdue(self) -> tuple[int, str]:
        # Never 1000 or 1001: one client takes these for its own doing, and waits for ever.
        if self._session is None:
            return 1008, "not authenticated in time"
        return 1011, "idle for too long"

    async def _read(self, message: Mapping[str, object]) -> None:
        text = message.get("text")
        if not isinstance(text, str):
            error = TaskError("invalidRequest", "Messages must be text frames with a JSON array of tasks.")
            await self._send_error(error, None)
            return
        try:
            tasks = await read_tasks(text.encode())
        except TaskError as error:
            await self._send_error(error, None)
            return
        for raw in tasks:
            match task_identity(raw)[0]:
                case "ping":
                    # Before authentication too: a client sends its first ping without waiting for the reply.
                    await self.send(_encode({"data": [Pong().item()]}))
                case "authentication":
                    await self._authenticate(raw)
                case _:
                    await self._start(raw)

    async def _authenticate(self, raw: object) -> None:
        try:
            task = parse_task(raw)
            assert isinstance(task, AuthenticationTask)
            owner = await self._services.access.owner_of(task.api_key)
        except TaskError as error:
            self._forget_session()
            # The error must name the task type and must not have a taskUUID: clients look for just that.
            await self._send_error(error, raw)
            return
        session = self._session
        if session is None or session.owner != owner or task.connection_session_uuid is not None:
            session = self._services.sessions.find(owner, task.connection_session_uuid)
        if session is not self._session:
            self._forget_session()
        reply = AuthenticationResult(connection_session_uuid=session.session_uuid).item()
        if await self.send(_encode({"data": [reply]})):
            self._session = session
            await self._services.sessions.attach(session, self)

    async def _start(self, raw: object) -> None:
        access, session = self._services.access, self._session
        try:
            if session is not None and not await access.is_valid(session.owner):
                # Revoked since: what the client gets is what it would get if it had just connected.
                self._forget_session()
                session = None
            if session is None:
                raise TaskError("missingApiKey", "The connection is not authenticated.", parameter="apiKey")
            if self._unanswered.total() >= MAX_TASKS_IN_FLIGHT:
                message = f"The connection has {MAX_TASKS_IN_FLIGHT} unanswered tasks; wait for some of them."
                raise TaskError("rateLimitExceeded", message)
            caller = await access.caller(session.owner, self._base_url)
        except TaskError as error:
            await self._send_error(error, raw)
            return
        self._unanswered[session] += 1
        self._services.sessions.run(self._answer(raw, session, caller))

    async def _answer(self, raw: object, session: Session, caller: Caller) -> None:
        """Perform a task, and answer to the session: by then, that can be another connection, or none."""
        came_in_time = not self._services.draining
        cancellation = Cancellation()

        async def report(items: Sequence[Item]) -> None:
            # Without a connection it is lost: nobody wants to know how far a task was.
            for frame in progress_frames([dict(item) for item in items]):
                if session.connection is not None:
                    await session.connection.send(_encode(frame))

        async def deliver(items: Sequence[Item]) -> None:
            for frame in frames([dict(item) for item in items], []):
                await self._services.sessions.deliver(session, _encode(frame), keep=True)

        def give_up() -> None:
            # Who is cut off by the end of the server asks the next one, where the task goes on.
            if not self._services.draining:
                cancellation.request()

        if self._services.settings.cancel_on_disconnect:
            session.when_lost.add(give_up)
        try:
            reply = await self._services.dispatcher.perform(
                raw,
                caller,
                hold_s=HOLD_S,
                on_progress=report,
                on_part=None if self._ends_with_first_item else deliver,
                cancellation=cancellation,
            )
            if came_in_time and self._services.draining and _is_interrupted(reply):
                # The task goes on after the restart. An error would end it for its client; the close frame makes the
                # client come back and ask.
                return
            for frame in _frames(reply):
                await self._services.sessions.deliver(session, _encode(frame), keep="data" in frame)
        finally:
            session.when_lost.discard(give_up)
            self._last_message_s = time.monotonic()
            self._unanswered[session] -= 1
            if not self._unanswered[session]:
                del self._unanswered[session]
                self._let_go(session)

    async def _send_error(self, error: TaskError, raw: object) -> None:
        for frame in _frames(refusal(error, raw)):
            await self.send(_encode(frame))

    def _forget_session(self) -> None:
        """Take no more tasks for the session. Who waits for answers to earlier ones still gets them here."""
        former, self._session = self._session, None
        if former is not None:
            self._unauthenticated_since_s = time.monotonic()
            self._let_go(former)

    def _let_go(self, session: Session) -> None:
        """Leave a session, unless it is the present one or an answer to it is due."""
        if session is not self._session and session not in self._unanswered:
            self._services.sessions.detach(session, self)


def _is_interrupted(reply: Reply) -> bool:
    return not reply.data and all(item.get("code") == "serviceUnavailable" for _, item in reply.errors)


def _frames(reply: Reply) -> list[dict[str, object]]:
    return frames([dict(item) for item in reply.data], [dict(item) for _, item in reply.errors])


def _encode(frame: Mapping[str, object]) -> str:
    return json.dumps(frame, separators=(",", ":"))
