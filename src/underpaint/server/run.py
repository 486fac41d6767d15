"""`underpaint serve`: the application under uvicorn, from its start to an orderly end."""

import asyncio
import contextlib
import gc
import logging
import resource
import socket
import sys
import threading
from types import FrameType
from typing import cast

import uvicorn
from starlette.applications import Starlette

from underpaint.server.app import create_app
from underpaint.server.connections import bounded_http
from underpaint.server.huge_pages import use_huge_pages
from underpaint.server.logs import configure_logging
from underpaint.server.messages import bounded_messages
from underpaint.server.reading import BODIES_AT_ONCE
from underpaint.server.services import Services
from underpaint.settings import Settings

CLOSE_GRACE_S = 5
"""How long clients may take after that to accept the end of their connections."""
KEEP_ALIVE_S = 75
"""Longer than clients keep idle connections themselves, so that none sends a request into one that is just
closed.
"""
STARTUP_FAILURE = 3
OTHER_FILES = 256
"""Open files besides those of connections: database, stored pictures, outgoing connections, the engine."""

log = logging.getLogger(__name__)


class DrainingServer(uvicorn.Server):
    """uvicorn, except that it lets work finish before it takes clients' sockets away, and that a signal is a
    good reason to end: the exit status is 0. A second signal ends the waiting, not the orderly end.

    Args:
        config: of uvicorn.
        app: what it serves.
        grace_s: seconds that work has to finish.
        owns_process: whether the process does nothing else. Then what there is after the start, which stays to the
            end, is taken from the garbage collector, which would go through it again and again, and comes into huge
            pages.
    """

    def __init__(
        self, config: uvicorn.Config, app: Starlette, *, grace_s: float, owns_process: bool = False
    ) -> None:
        super().__init__(config)
        self._app = app
        self._grace_s = grace_s
        self._owns_process = owns_process
        self._hurry = False

    @property
    def url(self) -> str:
        """Where it listens, with the real port. Only once it does."""
        address, port = self.servers[0].sockets[0].getsockname()[:2]
        host = self.config.host if self.config.host == "localhost" else address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so in a line that whoever started the process can wait for."""
        await super().startup(sockets)
        if self.started:
            if self._owns_process:
                gc.collect()
                gc.freeze()
                # In a thread: requests need not wait for it.
                threading.Thread(target=use_huge_pages, name="huge pages", daemon=True).start()
            log.info("Underpaint is listening on %s", self.url)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take note of a signal."""
        self._hurry = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain while still listening, so that probes can see it; then close."""
        log.info("stopping: running tasks have %g s to finish", self._grace_s)
        services = cast(Services, self._app.state.services)
        draining = asyncio.ensure_future(services.drain(self._grace_s))
        while not draining.done() and not self._hurry:
            await asyncio.wait({draining}, timeout=0.1)
        if not draining.done():
            log.warning("stopping at once: a second signal came")
            draining.cancel()
            await asyncio.wait({draining})
            await services.let_go()
        elif (failure := draining.exception()) is not None:
            log.error("draining failed", exc_info=failure)
        await super().shutdown(sockets)


def uvicorn_config(app: Starlette, settings: Settings) -> uvicorn.Config:
    """How uvicorn runs the application."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        lifespan="on",
        http=bounded_http(settings.max_connections),
        ws=bounded_messages(BODIES_AT_ONCE * settings.max_request_bytes),
        ws_max_size=settings.max_request_bytes,
        # A client that computes may be slow to answer; it is gone when it is silent for a minute.
        ws_ping_interval=20.0,
        ws_ping_timeout=60.0,
        # Pictures do not get smaller by it, and it would cost the event loop their compression.
        ws_per_message_deflate=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=CLOSE_GRACE_S,
        # Whoever can send X-Forwarded-For could otherwise choose the address and scheme that are believed;
        # behind a proxy, `public_url` says what clients see.
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
    )


def _allow_open_files(count: int) -> None:
    """Have the system allow so many open files, or as many as it will; most begin at 1024."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < count:
        wanted = count if most == resource.RLIM_INFINITY else min(count, most)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
        if wanted < count:
            log.warning(
                "the system allows %d open files, too few for max_connections; %d are needed", wanted, count
            )


def serve(settings: Settings) -> None:
    """Run the server until a signal ends it.

    Raises:
        SystemExit: it could not start; the log says why.
    """
    configure_logging(settings.log_level, settings.log_format)
    _allow_open_files(settings.max_connections + OTHER_FILES)
    app = create_app(settings)
    server = DrainingServer(
        uvicorn_config(app, settings), app, grace_s=settings.drain_grace_s, owns_process=True
    )
    log.info("model %s on device %s, data in %s", settings.default_model, settings.device, settings.data_dir)
    server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)
