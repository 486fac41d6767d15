"""kill -9 of the server and of the engine at named points: every accepted task ends once, with the same pictures."""

import asyncio
from pathlib import Path

import pytest

from tests.crash.campaign import crash_at, digests, hooks, new_task, outcome, post, server, uninterrupted
from tests.crash.program import SERVER_POINTS


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return asyncio.run(uninterrupted(tmp_path_factory.mktemp("reference"), 7))


@pytest.mark.parametrize("point", SERVER_POINTS)
async def test_the_server_is_killed(point: str, tmp_path: Path, expected: list[str]) -> None:
    await crash_at(point, tmp_path, seed=7, expected=expected)


async def test_the_engine_is_killed(tmp_path: Path) -> None:
    """While it loads the model, between the steps, and late; the server goes on, and the pictures are the same."""
    async with hooks() as receiver, server(tmp_path, CRASH_ENGINE="1") as running:
        found = []
        for tick in (None, 1, 3, 6):
            if tick is not None:
                (tmp_path / "tick").write_text(str(tick))
            task = new_task(7, receiver.url, steps=8, strength=1.0, CFGScale=2)
            assert "data" in await post(running.url, task)
            found.append(await digests(running.url, await outcome(running.url, task, timeout_s=200)))
            assert not (tmp_path / "tick").exists(), f"the engine had no tick {tick}"
        assert found[1:] == [found[0]] * 3
        assert sum("engine" in line and ("died" in line or "ended" in line) for line in running.lines) >= 3
