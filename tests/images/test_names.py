"""Looking up names: what the system says, without taking threads that others need."""

import asyncio
import os
import socket
import threading
from typing import Any

import pytest

from underpaint.images.names import NameLookUps


async def test_it_finds_what_the_system_finds() -> None:
    look_ups = NameLookUps()
    [found] = [each for each in await look_ups.resolve("localhost", 8080) if each["host"] == "127.0.0.1"]
    assert (found["hostname"], found["port"], found["family"]) == ("localhost", 8080, socket.AF_INET)
    with pytest.raises(socket.gaierror):
        await look_ups.resolve("name.invalid", 80)
    await look_ups.close()


async def test_addresses_of_one_interface_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object, **__: object) -> list[Any]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 80, 0, 2)),
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 80, 0, 0)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    look_ups = NameLookUps()
    found = await look_ups.resolve("example.org", 80, socket.AF_UNSPEC)
    assert [each["host"] for each in found] == ["2001:db8::1"]
    await look_ups.close()


async def test_silent_name_servers_take_no_thread_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def getaddrinfo(*_: object, **__: object) -> list[Any]:
        answered.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    look_ups = NameLookUps()
    pool = min(32, (os.cpu_count() or 1) + 4)
    waiting = [asyncio.create_task(look_ups.resolve(f"{number}.example", 80)) for number in range(pool + 2)]
    async with asyncio.timeout(20):
        await asyncio.sleep(0)
        await asyncio.to_thread(lambda: None)
    assert not any(task.done() for task in waiting)
    answered.set()
    for task in waiting:
        with pytest.raises(socket.gaierror):
            await task
    await look_ups.close()
