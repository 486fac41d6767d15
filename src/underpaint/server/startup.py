"""Why a server does not start, in one line where a line says it all."""

import sys

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from underpaint.claim import AlreadyServed
from underpaint.database import DatabaseUnusable
from underpaint.migrations import SchemaVersionError
from underpaint.studio.signing import SecretsUnreadable

_PLAIN = (AlreadyServed, DatabaseUnusable, SchemaVersionError, SecretsUnreadable, OSError)
"""Failures that are not ours, and whose message says what to do. Of others the traceback is what helps."""


class PlainStartup:
    """ASGI middleware: where the lifespan fails of something plain, its message stands in place of the traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, but that."""
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_plainly(message: Message) -> None:
            # Starlette sends this from where it handles the exception.
            failure = sys.exception()
            if message["type"] == "lifespan.startup.failed" and isinstance(failure, _PLAIN):
                message = {**message, "message": str(failure)}
            await send(message)

        await self._app(scope, receive, send_plainly)
