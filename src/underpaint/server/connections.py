"""Bounds on connections before they have sent a request: their number, their time, and the size of a request's head.

uvicorn has none of these. A connection that says nothing would stay for ever, a head without an end would fill the
memory, and a few thousand idle sockets would take every file descriptor there is.
"""

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from underpaint.server.replies import RETRY_AFTER_S
from underpaint.wire import TaskError, http_reply

HEAD_LIMIT_S = 30.0
"""How long the head of a request may take, from the opening of its connection or its own first byte."""
MAX_HEAD_BYTES = 64 * 2**10
_PHRASES = {400: "Bad Request", 431: "Request Header Fields Too Large", 503: "Service Unavailable"}


def bounded_http(max_connections: int) -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol for one server, with at most so many connections, WebSockets included.

    When there are as many, the one that has waited longest without a request in progress makes room for the next. Only
    when every one is at work is the new one refused.
    """
    waiting: dict[Any, None] = {}

    class BoundedHttp(HttpToolsProtocol):
        """One connection."""

        _head_bytes = 0
        _head_timer: asyncio.TimerHandle | None = None
        _in_head = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > max_connections:
                oldest = next(iter(waiting), None)
                if oldest is None:
                    self.refuse(
                        TaskError(
                            "serviceUnavailable", "The server has too many connections; try again later."
                        )
                    )
                    return
                oldest.give_way()
            self._begin_head()

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            super().data_received(data)
            if self._in_head:
                self._head_bytes += len(data)
                if self._head_bytes > MAX_HEAD_BYTES:
                    message = f"The head of the request is larger than {MAX_HEAD_BYTES} bytes."
                    self.refuse(TaskError("valueTooLarge", message, status_code=431))

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if not self._in_head:
                self._begin_head()

        def on_headers_complete(self) -> None:
            self._end_head()
            super().on_headers_complete()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if not self._in_head and self.cycle.response_complete and not self.transport.is_closing():
                # Kept alive for another request. uvicorn has a timer for that.
                waiting[self] = None

        def connection_lost(self, exc: Exception | None) -> None:
            self._end_head()
            super().connection_lost(exc)

        def send_400_response(self, msg: str) -> None:
            self.refuse(TaskError("invalidRequest", msg))

        def refuse(self, error: TaskError) -> None:
            """Answer in the API's shape without an application, and close."""
            self._end_head()
            status_code = error.status_code
            _, body = http_reply([], [(status_code, error.item(task_uuid=None, task_type=None))])
            content = json.dumps(body, separators=(",", ":")).encode("ascii")
            head = (
                f"HTTP/1.1 {status_code} {_PHRASES[status_code]}\r\n"
                "content-type: application/json\r\n"
                f"content-length: {len(content)}\r\n"
                + (f"retry-after: {RETRY_AFTER_S}\r\n" if status_code == 503 else "")
                + "connection: close\r\n\r\n"
            )
            self.transport.write(head.encode("ascii") + content)
            self.transport.close()

        def give_way(self) -> None:
            """Leave for another connection."""
            self._end_head()
            self.connections.discard(self)
            self.transport.abort()

        def _begin_head(self) -> None:
            self._in_head, self._head_bytes = True, 0
            waiting.pop(self, None)
            waiting[self] = None
            self._head_timer = self.loop.call_later(HEAD_LIMIT_S, self.timeout_keep_alive_handler)

        def _end_head(self) -> None:
            self._in_head = False
            waiting.pop(self, None)
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

    return BoundedHttp
