"""A bound on WebSocket messages that have not arrived in full, of all connections together.

Each message may be as large as a request. Without a common bound a few hundred connections, which need no key yet,
could fill the memory with beginnings of messages.
"""

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

FRAGMENT_BYTES = 64
"""What a fragment costs besides its payload."""
MESSAGE_TOO_BIG = 1009


def bounded_messages(max_bytes: int) -> type[asyncio.Protocol]:
    """uvicorn's WebSocket protocol for one server, whose unfinished messages take at most so many bytes.

    When they would take more, the connection that holds most is closed, with 1009.
    """
    held: dict[Any, int] = {}

    class BoundedMessages(WebSocketsSansIOProtocol):
        """One connection."""

        _fragment_bytes = 0

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.transport.is_closing():
                held.pop(self, None)
                return
            unfinished = self._fragment_bytes + len(self.conn.reader.buffer)
            if unfinished:
                held[self] = unfinished
            else:
                held.pop(self, None)
            while sum(held.values()) > max_bytes:
                max(held, key=lambda each: held[each]).give_up()

        def handle_text(self, event: Frame) -> None:
            self._fragment_bytes = len(event.data) + FRAGMENT_BYTES
            super().handle_text(event)

        def handle_bytes(self, event: Frame) -> None:
            self._fragment_bytes = len(event.data) + FRAGMENT_BYTES
            super().handle_bytes(event)

        def handle_cont(self, event: Frame) -> None:
            self._fragment_bytes += len(event.data) + FRAGMENT_BYTES
            super().handle_cont(event)

        def send_receive_event_to_app(self) -> None:
            self._fragment_bytes = 0
            super().send_receive_event_to_app()

        def connection_lost(self, exc: Exception | None) -> None:
            held.pop(self, None)
            super().connection_lost(exc)

        def give_up(self) -> None:
            """Close, and forget what has arrived."""
            del held[self]
            self.frames, self._fragment_bytes = [], 0
            self.conn.fail(MESSAGE_TOO_BIG, "too much is being sent to the server")
            # As when the parser finds a message too large: the application is told as well.
            self.handle_parser_exception()

    return BoundedMessages
