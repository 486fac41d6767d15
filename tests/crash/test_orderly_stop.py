"""SIGTERM while a picture is being made: it is written down how far it is, and goes on from there."""

import asyncio
import json
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests.crash.campaign import digests, hooks, new_task, outcome, post, server

LONG = {"steps": 100, "strength": 1.0, "scheduler": "Euler a"}
ENVIRONMENT = {
    "CRASH_ENGINE": "1",
    "UNDERPAINT_DRAIN_GRACE_S": "0.05",
    # Nothing is written down but what the stop makes it write.
    "UNDERPAINT_CHECKPOINT_INTERVAL_S": "3600",
}


@pytest.mark.timeout(600)
async def test_what_is_unfinished_goes_on_after_the_restart(tmp_path: Path) -> None:
    (tmp_path / "interrupted").mkdir()
    (tmp_path / "whole").mkdir()
    async with hooks() as receiver:
        task = new_task(3, receiver.url, **LONG)
        async with server(tmp_path / "interrupted", **ENVIRONMENT) as first:
            async with connect(first.url.replace("http", "ws", 1) + "/v1") as socket:
                await socket.send(json.dumps([{"taskType": "authentication", "apiKey": "any"}]))
                await socket.recv()
                await socket.send(json.dumps([{**task, "progress": True}]))
                async with asyncio.timeout(200):
                    while b'"step":2' not in (said := _bytes(await socket.recv())):
                        assert b"errors" not in said
                first.process.terminate()
                async with asyncio.timeout(60):
                    await socket.wait_closed()
                assert socket.close_code == 1012
            async with asyncio.timeout(60):
                assert await first.process.wait() == 0
        async with server(tmp_path / "interrupted", **ENVIRONMENT) as second:
            interrupted = await digests(second.url, await outcome(second.url, task, timeout_s=300))
        assert second.said_of_checkpoints["checkpoints used"] >= 1
        async with server(tmp_path / "whole", **ENVIRONMENT) as other:
            assert "data" in await post(other.url, task)
            assert interrupted == await digests(other.url, await outcome(other.url, task, timeout_s=300))


def _bytes(frame: str | bytes) -> bytes:
    return frame if isinstance(frame, bytes) else frame.encode()
