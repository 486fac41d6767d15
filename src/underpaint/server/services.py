"""What the endpoints of one running server share."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from starlette.requests import HTTPConnection

from underpaint.server.access import Access
from underpaint.server.dispatch import Dispatcher
from underpaint.server.metrics import Metrics
from underpaint.server.reading import BodyReader
from underpaint.server.sessions import Sessions
from underpaint.server.studio import Studio
from underpaint.settings import Settings

LAST_WORDS_S = 1.0
"""How long the last results may take on their way to the sockets, before these are closed."""

if TYPE_CHECKING:
    from underpaint.server.socket import SocketConnection


@dataclass(kw_only=True)
class Services:
    """Made when the server starts, and gone when it stops.

    Attributes:
        draining: the server is about to stop: it takes no new sockets, and its readiness is gone.
        connections: the open sockets, authenticated or not.
    """

    settings: Settings
    studio: Studio
    access: Access
    sessions: Sessions
    metrics: Metrics
    dispatcher: Dispatcher
    bodies: BodyReader
    draining: bool = False
    connections: set["SocketConnection"] = field(default_factory=set)

    async def drain(self, grace_s: float) -> None:
        """Finish what runs, within `grace_s`, and let go of every client. There is no way back."""
        self.draining = True
        await self.studio.drain(grace_s)
        await self.sessions.settle(LAST_WORDS_S)
        await self.let_go()

    async def let_go(self) -> None:
        """Answer the POSTs that still wait, and close every socket."""
        self.draining = True
        self.dispatcher.stop()
        # Clients reconnect after 1012 and ask again for what they miss; after 1000 or 1001 one of them never
        # would.
        await asyncio.gather(
            *(connection.close(1012, "the server is restarting") for connection in tuple(self.connections))
        )


def services_of(connection: HTTPConnection) -> Services:
    """The services of the server that a request has come to."""
    return cast(Services, connection.app.state.services)
