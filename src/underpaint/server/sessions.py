"""Sessions: what a client missed while its socket was gone.

A session has a UUID, which the client learns when it authenticates. Replies for which there was no socket any
more are kept for a while, and sent when the same key authenticates again with that UUID. Only results are
kept, not errors: a client library gives up its synchronous calls when the connection drops, and takes an
error for a call it has given up as an error of every call that runs. Whoever misses an error gets it from
getResponse.
"""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

KEPT_S = 120.0
"""How long the replies of a lost connection are kept, counted from the loss."""
MAX_SESSIONS = 10_000
MAX_FRAMES = 256
"""Most frames kept for one session."""
MAX_SESSION_BYTES = 16 * 2**20
MAX_TOTAL_BYTES = 64 * 2**20


class Connection(Protocol):
    """An open socket."""

    async def send(self, frame: str) -> bool:
        """Send one frame. False when it certainly did not go out: the socket is gone."""

    async def leave(self, session: "Session") -> None:
        """Another connection has resumed that session."""


@dataclass(eq=False)
class Session:
    """One client, across its connections.

    Attributes:
        owner: the key that it authenticated with, which nobody else's resumption can replace.
        connection: the open socket, None while there is none.
        kept: frames to send once there is one again.
        lost_s: when the last socket went.
        when_lost: called when a socket goes and there is no other.
    """

    owner: str
    session_uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    connection: Connection | None = None
    kept: deque[str] = field(default_factory=deque)
    kept_bytes: int = 0
    lost_s: float = 0.0
    when_lost: set[Callable[[], None]] = field(default_factory=set)


class Sessions:
    """All sessions of a server, and the tasks that answer to them.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[str, Session] = {}
        # Those without a socket, in the order in which they lost it.
        self._lost: dict[str, Session] = {}
        self._kept_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def lost(self) -> int:
        """Sessions that could be resumed."""
        self._expire()
        return len(self._lost)

    def find(self, owner: str, session_uuid: str | None) -> Session:
        """The session to resume, or a new one: for a UUID that is unknown, too old, or of another key.

        A new one has no connection until `attach`, so that the answer to the authentication can go first.
        """
        self._expire()
        known = (self._open.get(session_uuid) or self._lost.get(session_uuid)) if session_uuid else None
        return known if known is not None and known.owner == owner else Session(owner=owner)

    async def attach(self, session: Session, connection: Connection) -> None:
        """Make a connection that of the session, and send it what was kept."""
        former, session.connection = session.connection, connection
        self._lost.pop(session.session_uuid, None)
        self._open[session.session_uuid] = session
        if former is not None and former is not connection:
            await former.leave(session)
        while session.kept and session.connection is connection:
            frame = session.kept.popleft()
            self._count(session, -len(frame))
            if not await connection.send(frame):
                session.kept.appendleft(frame)
                self._count(session, len(frame))
                self.detach(session, connection)

    def detach(self, session: Session, connection: Connection) -> None:
        """Note that a connection is gone."""
        if session.connection is not connection:
            return
        session.connection = None
        session.lost_s = self._clock()
        self._open.pop(session.session_uuid, None)
        self._lost[session.session_uuid] = session
        while len(self._lost) > MAX_SESSIONS:
            self._drop_oldest()
        self._expire()
        for call in tuple(session.when_lost):
            call()

    async def deliver(self, session: Session, frame: str, *, keep: bool) -> None:
        """Send a frame, over whichever connection the session has; without one keep it, if it is worth
        keeping.
        """
        while (connection := session.connection) is not None:
            if await connection.send(frame):
                return
            self.detach(session, connection)
        self._expire()
        if not keep or session.session_uuid not in self._lost:
            return
        session.kept.append(frame)
        self._count(session, len(frame))
        while len(session.kept) > MAX_FRAMES or session.kept_bytes > MAX_SESSION_BYTES:
            self._count(session, -len(session.kept.popleft()))
        while self._kept_bytes > MAX_TOTAL_BYTES:
            self._drop_oldest()

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start what answers to a session. It outlives the connection."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def settle(self, limit_s: float) -> None:
        """Wait for the answers that are under way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=limit_s)

    async def stop(self) -> None:
        """Give up on the answers that are still awaited."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _expire(self) -> None:
        oldest_s = self._clock() - KEPT_S
        while self._lost and next(iter(self._lost.values())).lost_s < oldest_s:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        session = self._lost.pop(next(iter(self._lost)))
        self._count(session, -session.kept_bytes)
        session.kept.clear()

    def _count(self, session: Session, change_bytes: int) -> None:
        session.kept_bytes += change_bytes
        self._kept_bytes += change_bytes
