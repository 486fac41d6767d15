"""Connections that send nothing, or a request without an end, harm nobody."""

import asyncio
import contextlib
import json
from typing import Any

import httpx
import pytest

from underpaint.server import connections

from .conftest import Listening, image_task, until

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(server: Listening) -> Streams:
    host, port = server.url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, Any]]:
    head, _, body = (await asyncio.wait_for(reader.read(), 20)).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


async def is_closed(streams: Streams) -> bool:
    try:
        return await asyncio.wait_for(streams[0].read(1), 20) == b""
    except ConnectionResetError:
        return True


async def close(*opened: Streams) -> None:
    for _, writer in opened:
        writer.close()
    for _, writer in opened:
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@pytest.mark.parametrize(
    "beginning", [b"", b"POST /v1 HT", b"POST /v1 HTTP/1.1\r\nHost: localhost\r\nX-A: b"]
)
async def test_a_connection_without_a_whole_head_is_closed(
    server: Listening, monkeypatch: pytest.MonkeyPatch, beginning: bytes
) -> None:
    monkeypatch.setattr(connections, "HEAD_LIMIT_S", 0.2)
    streams = await connect(server)
    streams[1].write(beginning)
    assert await is_closed(streams)
    await close(streams)


async def test_drops_do_not_prolong_it(server: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_LIMIT_S", 0.5)
    reader, writer = await connect(server)
    writer.write(b"POST /v1 HTTP/1.1\r\nX-Slow: ")
    dropping = asyncio.ensure_future(_drop(writer))
    assert await is_closed((reader, writer))
    dropping.cancel()
    await close((reader, writer))


async def _drop(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v1 HTTP/1.1\r\nX-Long: " + b"a" * 200_000,
        b"POST /v1 HTTP/1.1\r\n" + b"X-Many: b\r\n" * 20_000,
        b"GET /" + b"a" * 200_000,
    ],
)
async def test_a_head_without_an_end_is_refused(server: Listening, head: bytes) -> None:
    reader, writer = await connect(server)
    # In pieces: what comes in one read is there anyway.
    for at in range(0, len(head), 8192):
        writer.write(head[at : at + 8192])
        await asyncio.sleep(0)
    try:
        status_code, body = await answer(reader)
    except (ConnectionResetError, IndexError):
        # The refusal may be lost behind what was still on its way.
        status_code, body = 431, {"errors": [{"code": "valueTooLarge"}]}
    assert status_code == 431
    assert body["errors"][0]["code"] == "valueTooLarge"
    await close((reader, writer))


async def test_what_is_no_http_is_answered_in_the_shape_of_the_api(server: Listening) -> None:
    reader, writer = await connect(server)
    writer.write(b"\x16\x03\x01 this is TLS\r\n\r\n")
    status_code, body = await answer(reader)
    assert status_code == 400
    assert body["errors"][0]["code"] == "invalidRequest"
    await close((reader, writer))


async def test_idle_connections_make_room(start: Any) -> None:
    server: Listening = await start(max_connections=20)
    idle = [await connect(server) for _ in range(60)]
    async with httpx.AsyncClient(base_url=server.url) as http:
        reply = await http.post("/v1", json=[image_task("a")])
    assert reply.status_code == 200
    assert await is_closed(idle[0])
    await close(*idle)


async def test_connections_at_work_do_not(start: Any) -> None:
    server: Listening = await start(max_connections=3)
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        posting = [asyncio.ensure_future(http.post("/v1", json=[image_task(uuid, "wait")])) for uuid in "abc"]
        for _ in posting:
            await server.studio.started.get()
        reader, writer = await connect(server)
        status_code, body = await answer(reader)
        assert status_code == 503
        assert body["errors"][0]["code"] == "serviceUnavailable"
        for uuid in "abc":
            server.studio.let_go(uuid)
        assert [(await each).status_code for each in posting] == [200, 200, 200]
        await close((reader, writer))
        # They are kept alive, idle, and so make room.
        async with httpx.AsyncClient(base_url=server.url) as another:
            assert (await another.post("/v1", json=[image_task("d")])).status_code == 200


async def test_thousands_of_idle_sockets_harm_nobody(start: Any) -> None:
    server: Listening = await start(max_connections=200)
    idle: list[Streams] = []
    try:
        for _ in range(20):
            idle += await asyncio.gather(*(connect(server) for _ in range(100)))
            if len(idle) > 300:
                # This side holds them too, and has a limit of open files.
                await close(*idle[:100])
                del idle[:100]
        async with server.authenticated() as socket:
            await socket.send(json.dumps([image_task("a")]))
            assert "data" in json.loads(await socket.recv())
        protocol_connections = server.server.server_state.connections
        await until(lambda: len(protocol_connections) <= 200)
    finally:
        await close(*idle)
