"""Middleware before every endpoint: refuses what keyless mode must, adds CORS, counts requests."""

import time
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from underpaint.server.browsers import (
    ALLOWED_HEADERS,
    ALLOWED_METHODS,
    HANDED_ON_BY,
    PREFLIGHT_AGE_S,
    why_refused,
)
from underpaint.server.replies import error_response
from underpaint.server.services import Services, services_of
from underpaint.wire import TaskError

TASK_PATHS = ("/", "/v1", "/v1/")
"""Clients send to the URL that they were given, and add no path to it."""
TASKS_FOLDER = "/v1/tasks/"
"""Where each task has a URL of its own, to be deleted."""


class Guard:
    """ASGI middleware. See `browsers` for what is refused, and why."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        headers = websocket.headers
        refusal = await _refusal(services_of(websocket), headers, headers.get("origin"))
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await websocket.send_denial_response(error_response(refusal))

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        services = services_of(request)
        began_s = time.monotonic()
        status_code = 500
        changes_something = request.method not in {"GET", "HEAD"}
        origin = request.headers.get("origin")
        place = _place(scope["path"])
        refusal = await _refusal(
            services,
            request.headers,
            origin if changes_something else None,
            # Whether the process lives is to be known also while the keys cannot be read.
            keyless=services.access.was_keyless if place == "health" else None,
        )
        for_tasks = place == "tasks"
        shared = origin if refusal is None and changes_something and for_tasks else None

        async def count_and_send(message: Message) -> None:
            nonlocal status_code
            if message["type"] == "http.response.start":
                status_code = message["status"]
                if shared is not None:
                    _allow(MutableHeaders(scope=message), shared)
            await send(message)

        app: ASGIApp
        if refusal is not None:
            app = error_response(refusal)
        elif request.method == "OPTIONS" and for_tasks:
            app = Response(status_code=204, headers={"Allow": allowed_at(scope["path"])})
        else:
            app = self._app
        try:
            await app(scope, receive, count_and_send)
        finally:
            seconds = time.monotonic() - began_s
            services.metrics.count_request(place, request.method, status_code, seconds)


async def _refusal(
    services: Services, headers: Headers, origin: str | None, *, keyless: bool | None = None
) -> TaskError | None:
    try:
        if not (await services.access.keyless() if keyless is None else keyless):
            return None
    except TaskError as failure:
        return failure
    reason = why_refused(
        host=headers.get("host"), origin=origin, handed_on=any(name in headers for name in HANDED_ON_BY)
    )
    return None if reason is None else TaskError("insufficientPermissions", reason)


def allowed_at(path: str) -> str:
    """The methods that the places for tasks know."""
    return "GET, HEAD, POST, OPTIONS" if path in TASK_PATHS else "DELETE, OPTIONS"


def _allow(headers: MutableHeaders, origin: str) -> None:
    headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Allow-Methods"] = ALLOWED_METHODS
    headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
    headers["Access-Control-Max-Age"] = str(PREFLIGHT_AGE_S)
    headers.add_vary_header("Origin")


_PLACES: Mapping[str, str] = dict.fromkeys(TASK_PATHS, "tasks") | dict.fromkeys(
    ("/healthz", "/readyz", "/metrics"), "health"
)


def _place(path: str) -> str:
    if path.startswith("/images/"):
        return "images"
    return "tasks" if path.startswith(TASKS_FOLDER) else _PLACES.get(path, "other")
