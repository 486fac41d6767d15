"""WebSocket messages that never end do not fill the memory."""

import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode

from .conftest import Listening, ask, image_task

LIMIT = 4096


async def begin(socket: ClientConnection, size_bytes: int, *, fragments: int = 1) -> None:
    """Send a message without its end."""
    part = size_bytes // fragments
    for number in range(fragments):
        frame = Frame(Opcode.CONT if number else Opcode.TEXT, b"x" * part, fin=False)
        socket.transport.write(frame.serialize(mask=True, extensions=[]))


async def closing_code(socket: ClientConnection) -> int | None:
    await socket.wait_closed()
    return socket.close_code


@pytest.mark.parametrize("fragments", [1, 5])
async def test_beginnings_of_messages_share_a_bound_and_the_largest_goes(start: Any, fragments: int) -> None:
    server: Listening = await start(max_request_bytes=LIMIT)
    async with server.authenticated() as bystander:
        greedy = await server.socket()
        await begin(greedy, 3900, fragments=1)
        others = [await server.socket() for _ in range(8)]
        for other in others:
            await begin(other, 3000, fragments=fragments)
        assert await closing_code(greedy) == 1009
        assert "data" in await ask(bystander, image_task("a"))
        for other in others:
            await other.close()


async def test_messages_that_arrive_in_full_do_not_count(start: Any) -> None:
    server: Listening = await start(max_request_bytes=LIMIT)
    async with server.authenticated() as socket:
        for number in range(20):
            assert "data" in await ask(socket, image_task(str(number), "a" * 3000))
        text = json.dumps([image_task("b", "a" * 3000)])
        await socket.send([text[:1000], text[1000:2000], text[2000:]])
        assert "data" in json.loads(await socket.recv())
