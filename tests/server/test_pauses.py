"""Pauses of the event loop are seen, and whose fault they are."""

import asyncio
import time

import httpx

from underpaint.server.pauses import PauseWatch

from .conftest import Running, until


async def test_a_pause_is_seen_and_work_is_told_from_waiting() -> None:
    watch = PauseWatch()
    watching = asyncio.create_task(watch.run())
    await asyncio.sleep(0.1)
    time.sleep(0.4)  # noqa: ASYNC251, as a busy machine does
    await until(lambda: watch.longest_s > 0.3)
    assert watch.longest_own_s < watch.longest_s / 2
    ends_s = time.process_time() + 0.5
    while time.process_time() < ends_s:
        pass
    await until(lambda: watch.longest_own_s > 0.4)
    watching.cancel()


async def test_the_longest_is_a_metric(inside: Running, http: httpx.AsyncClient) -> None:
    inside.services.metrics.pauses.longest_s = 7.25
    inside.services.metrics.pauses.longest_own_s = 6.5
    lines = (await http.get("/metrics")).text.splitlines()
    assert "underpaint_event_loop_longest_pause_seconds 7.25" in lines
    assert "underpaint_event_loop_longest_own_pause_seconds 6.5" in lines
