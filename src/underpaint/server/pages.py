"""The playground: the pages of `underpaint.web`, for browsers.

Everything a page needs comes from here. The policy lets it run only its own files and reach only this server, so that a
name or a prompt which were taken for markup could still do nothing.
"""

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from underpaint import web
from underpaint.server.services import services_of

FOLDER = Path(web.__file__).parent
_PAGES = {"/": "index.html", "/operator": "operator.html"}
_GZIP_FROM_BYTES = 1024


def page_routes() -> list[BaseRoute]:
    """`/` and the files that it loads; whoever opens a path of the API in a browser is led to it."""
    page = _compressed(_Pages())
    return [
        Route("/", page, methods=["GET"]),
        Route("/operator", page, methods=["GET"]),
        Route("/v1", _to_the_page, methods=["GET"]),
        Route("/v1/", _to_the_page, methods=["GET"]),
        Mount("/web", page),
    ]


async def _to_the_page(request: Request) -> Response:
    # Relative, because behind a proxy the page may lie in a folder of another server.
    return RedirectResponse("./" if request.url.path == "/v1" else "../")


def _compressed(app: ASGIApp) -> ASGIApp:
    return GZipMiddleware(app, minimum_size=_GZIP_FROM_BYTES)


class _Pages:
    """ASGI application: the files, with the headers that keep a page to itself."""

    def __init__(self) -> None:
        self._files = StaticFiles(directory=FOLDER)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        headers = _headers(services_of(request).settings.public_url)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        name = _PAGES.get(scope["path"]) or self._files.get_path(scope)
        response = await self._files.get_response(name, scope)
        await response(scope, receive, send_with_headers)


def _headers(public_url: str | None) -> MutableMapping[str, Any]:
    sources = "'self'"
    if public_url is not None:
        # Links to results start with it, also for whoever reached the server by another name.
        public = urlsplit(public_url)
        sources += f" {public.scheme}://{public.netloc}"
    policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        f"img-src {sources} data: blob:",
        f"connect-src {sources}",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        # Asked for again each time, and answered with a 304: a new version of the server has its own page at once.
        "Cache-Control": "no-cache",
    }
