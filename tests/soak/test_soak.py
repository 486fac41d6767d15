"""The parts of the soak; the soak itself is `python -m tests.soak`."""

import asyncio
from typing import Any

import pytest

from tests.soak import cutting as module
from tests.soak.__main__ import faults, growth
from tests.soak.cutting import cutting

GOOD: dict[str, Any] = {
    "lost": [],
    "server_mib": (100.0, 101.0),
    "engine_mib": (500.0, 500.0),
    "files": (30, 31),
    "engine_restarts": 0.0,
    "failures": [],
}


@pytest.mark.parametrize(
    "bad",
    [
        {"lost": [{"taskUUID": "a"}]},
        {"server_mib": (100.0, 200.0)},
        {"engine_mib": (500.0, 600.0)},
        {"files": (30, 300)},
        {"engine_restarts": 1.0},
        {"failures": ["Traceback"]},
    ],
)
def test_what_a_soak_must_not_show_is_a_fault(bad: dict[str, Any]) -> None:
    assert faults(GOOD) == []
    assert len(faults({**GOOD, **bad})) == 1


def test_growth_is_told_from_warming_up() -> None:
    assert growth([0, 50, 100, 100, 100, 100, 100, 100]) == (100, 100)
    early, late = growth(list(range(100)))
    assert late - early > 40


async def test_the_network_is_cut_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEAN_LIFE_S", 0.05)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with cutting(server.sockets[0].getsockname()[1], seed=3) as cutter:
        host, port = cutter.url.removeprefix("http://").split(":")
        open_connections = [await asyncio.open_connection(host, int(port)) for _ in range(20)]
        for reader, writer in open_connections:
            writer.write(b"hello")
            assert await reader.read(5) in (b"hello", b"")
        async with asyncio.timeout(20):
            while cutter.cuts < 5:  # noqa: ASYNC110, there is nothing to be told by
                await asyncio.sleep(0.01)
        assert cutter.connections == 20
        for _, writer in open_connections:
            writer.close()
    server.close()
