"""A network that fails again and again: a proxy that cuts connections at random."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

MEAN_LIFE_S = 12.0
"""A connection lives that long on average; a third of them are never cut."""


@dataclass
class Cutter:
    """Where the proxy listens, and what it has done."""

    url: str = ""
    connections: int = 0
    cuts: int = 0


@asynccontextmanager
async def cutting(server_port: int, seed: int) -> AsyncIterator[Cutter]:
    """A proxy to a port of the loopback address. A cut ends the stream in both directions, without a word."""
    chance = random.Random(seed)
    cutter = Cutter()
    carrying: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        carrying.add(task)
        cutter.connections += 1
        life_s = chance.expovariate(1 / MEAN_LIFE_S) if chance.random() < 2 / 3 else None
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", server_port)
        except OSError:
            writer.transport.abort()
            return
        try:
            async with asyncio.timeout(life_s):
                ways = [
                    asyncio.ensure_future(_copy(reader, server_writer)),
                    asyncio.ensure_future(_copy(server_reader, writer)),
                ]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
        except TimeoutError:
            cutter.cuts += 1
        finally:
            writer.transport.abort()
            server_writer.transport.abort()
            carrying.discard(task)

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    cutter.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield cutter
    finally:
        server.close()
        for task in list(carrying):
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
