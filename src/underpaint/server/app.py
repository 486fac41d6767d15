"""The ASGI application."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from underpaint.blocking import in_thread
from underpaint.claim import claim_database, claim_folder
from underpaint.database import open_database
from underpaint.server.access import Access
from underpaint.server.dispatch import Dispatcher
from underpaint.server.guard import TASK_PATHS, TASKS_FOLDER, Guard, allowed_at
from underpaint.server.health import get_health, get_metrics, get_readiness
from underpaint.server.http import delete_task, post_tasks
from underpaint.server.images import get_image
from underpaint.server.keys import KeyRing
from underpaint.server.limits import limits_of
from underpaint.server.metrics import Metrics
from underpaint.server.openapi import get_openapi
from underpaint.server.operator import get_mishaps
from underpaint.server.pages import page_routes
from underpaint.server.reading import BodyReader
from underpaint.server.replies import error_response
from underpaint.server.services import Services
from underpaint.server.sessions import Sessions
from underpaint.server.socket import serve_socket
from underpaint.server.startup import PlainStartup
from underpaint.server.studio import StudioFactory
from underpaint.settings import Settings
from underpaint.studio import open_studio
from underpaint.wire import TaskError


def create_app(settings: Settings, *, studio_factory: StudioFactory = open_studio) -> Starlette:
    """The application for one data folder. Its lifespan opens the database and the studio, and closes both.

    Args:
        settings: the values to run with.
        studio_factory: makes the floor below; tests put another one here.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        with claim_folder(settings.data_dir):
            database = await in_thread(open_database, settings.data_dir, settings.database_url)
            try:
                async with (
                    claim_database(database, when_lost=_stop_this_process),
                    _services(app, database),
                ):
                    yield
            finally:
                database.dispose()

    @asynccontextmanager
    async def _services(app: Starlette, database: Engine) -> AsyncIterator[None]:
        access = Access(
            KeyRing(database), settings.host, public_url=settings.public_url, limits=limits_of(settings)
        )
        sessions = Sessions()
        try:
            async with studio_factory(settings, database) as studio:
                metrics = Metrics(studio.status)
                dispatcher = Dispatcher(studio, metrics)
                app.state.services = Services(
                    settings=settings,
                    studio=studio,
                    access=access,
                    sessions=sessions,
                    metrics=metrics,
                    dispatcher=dispatcher,
                    bodies=BodyReader(settings.max_request_bytes),
                )
                await access.log_policy()
                watching = asyncio.create_task(metrics.pauses.run(), name="pauses")
                try:
                    yield
                finally:
                    watching.cancel()
                    dispatcher.stop()
                    await sessions.stop()
        finally:
            access.close()

    # They are tried in turn: first what is asked for most.
    routes: list[BaseRoute] = [Route(path, post_tasks, methods=["POST"]) for path in TASK_PATHS]
    routes += page_routes()
    routes += [WebSocketRoute(path, serve_socket) for path in TASK_PATHS]
    routes += [
        Route(f"{TASKS_FOLDER}{{task_uuid}}", delete_task, methods=["DELETE"]),
        Route("/images/{name}", get_image, methods=["GET"]),
        Route("/healthz", get_health, methods=["GET"]),
        Route("/readyz", get_readiness, methods=["GET"]),
        Route("/metrics", get_metrics, methods=["GET"]),
        Route("/operator/errors", get_mishaps, methods=["GET"]),
        Route("/openapi.json", get_openapi, methods=["GET"]),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(PlainStartup), Middleware(Guard)],
        exception_handlers={
            HTTPException: _http_exception,
            ClientDisconnect: _client_disconnect,
            Exception: _unforeseen,
        },
        lifespan=lifespan,
    )


def _stop_this_process() -> None:
    # As from outside: what runs is finished or left, in order.
    signal.raise_signal(signal.SIGTERM)


async def _http_exception(request: Request, failure: Exception) -> Response:
    assert isinstance(failure, HTTPException)
    message = f"{request.method} {request.url.path}: {failure.detail}. Tasks go by POST to / or /v1."
    headers = dict(failure.headers or {})
    if failure.status_code == 405 and request.url.path in TASK_PATHS:
        # Pages and tasks share these paths, as routes of their own that know only their own methods.
        headers["Allow"] = allowed_at(request.url.path)
    return error_response(TaskError("invalidRequest", message, status_code=failure.status_code), headers)


async def _client_disconnect(request: Request, failure: Exception) -> Response:
    # Nobody is there to read it; it is for the metrics.
    return error_response(TaskError("invalidRequest", "The request broke off."))


async def _unforeseen(request: Request, failure: Exception) -> Response:
    return error_response(TaskError("internalServerError", "The server failed; its log has the details."))
