import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection, connect

from underpaint.database import open_database
from underpaint.server.app import create_app
from underpaint.server.keys import KeyRing
from underpaint.server.run import DrainingServer, uvicorn_config
from underpaint.server.services import Services
from underpaint.settings import Settings

from .fake_studio import FakeStudio


@dataclass(kw_only=True)
class Running:
    """A server in the test's own event loop."""

    settings: Settings
    studio: FakeStudio
    app: Starlette
    url: str

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    def add_key(self) -> tuple[str, str]:
        """Make a key as another process does, and let the time pass within which the server notices."""
        added = self._keys().add("test")
        self.services.access._read_s = float("-inf")
        return added

    def revoke_key(self, key_id: str) -> None:
        self._keys().revoke(key_id)
        self.services.access._read_s = float("-inf")

    def _keys(self) -> KeyRing:
        return KeyRing(open_database(self.settings.data_dir))

    def socket(self, path: str = "/v1", **options: Any) -> connect:
        return connect(self.url.replace("http", "ws", 1) + path, **options)

    @asynccontextmanager
    async def authenticated(self, key: str = "any", **more: str) -> AsyncIterator[ClientConnection]:
        async with self.socket() as socket:
            await ask(socket, {"taskType": "authentication", "apiKey": key, **more})
            yield socket


async def ask(socket: ClientConnection, *tasks: object) -> dict[str, Any]:
    """Send one message, and read one frame."""
    await socket.send(json.dumps(tasks))
    return await frame(socket)


async def frame(socket: ClientConnection) -> dict[str, Any]:
    """The next frame."""
    async with asyncio.timeout(10):
        text = await socket.recv()
    assert isinstance(text, str)
    read = json.loads(text)
    assert isinstance(read, dict)
    return read


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110, there is nothing to be told by
            await asyncio.sleep(0.005)


def image_task(task_uuid: str, prompt: str = "a cat", **more: object) -> dict[str, object]:
    return {"taskType": "imageInference", "taskUUID": task_uuid, "positivePrompt": prompt, **more}


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Any]:
    """Starts servers; ends them after the test."""
    async with AsyncExitStack() as stack:

        async def start_one(grace_s: float = 0.0, **overrides: Any) -> Listening:
            return await stack.enter_async_context(listening(tmp_path, grace_s, overrides))

        yield start_one


@dataclass(kw_only=True)
class Listening(Running):
    """A server on a real port."""

    server: DrainingServer


@asynccontextmanager
async def listening(data_dir: Path, grace_s: float, overrides: dict[str, Any]) -> AsyncIterator[Listening]:
    settings = Settings(data_dir=data_dir, port=0, **overrides)
    studio = FakeStudio()
    app = create_app(settings, studio_factory=studio.open)
    server = DrainingServer(uvicorn_config(app, settings), app, grace_s=grace_s)
    serving = asyncio.ensure_future(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0)
    try:
        yield Listening(settings=settings, studio=studio, app=app, url=server.url, server=server)
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
async def server(start: Any) -> Listening:
    """A server without keys, on a loopback address and a real port."""
    started: Listening = await start()
    return started


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[Running]:
    """A server without keys and without a port, for what needs no socket: it starts and ends sooner."""
    settings = Settings(data_dir=tmp_path)
    studio = FakeStudio()
    app = create_app(settings, studio_factory=studio.open)
    async with app.router.lifespan_context(app):
        yield Running(settings=settings, studio=studio, app=app, url="http://127.0.0.1:8080")


@pytest.fixture
async def http(inside: Running) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(inside.app)
    async with httpx.AsyncClient(transport=transport, base_url=inside.url) as client:
        yield client
