"""kill -9 of the server and of the engine at named points: every accepted task ends once, with the same pictures."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import campaign
from tests.crash.campaign import crash_at, uninterrupted
from tests.crash.program import SERVER_POINTS


@pytest.fixture(scope="module", autouse=True)
def _forking() -> Iterator[None]:
    """As in the campaign: what is tested is how servers and engines end. How they start is in test_orderly_stop."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(campaign, "FORKING", True)
        yield


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return asyncio.run(uninterrupted(tmp_path_factory.mktemp("reference"), 7))


@pytest.mark.parametrize("point", SERVER_POINTS)
async def test_the_server_is_killed(point: str, tmp_path: Path, expected: list[str]) -> None:
    await crash_at(point, tmp_path, expected={7: expected})


@pytest.fixture(scope="module")
def expected_of_the_engine(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return asyncio.run(uninterrupted(tmp_path_factory.mktemp("reference"), 2, real=True))


@pytest.mark.parametrize(
    ("point", "victim", "used"),
    [
        ("encoding the seed", "engine", 0),
        ("step 4", "engine", 2),
        ("step 3", "both", 2),
        ("decoding", "server", 2),
        ("checkpoint half written", "both", 0),
    ],
)
async def test_the_engine_is_killed(
    point: str, victim: str, used: int, tmp_path: Path, expected_of_the_engine: list[str]
) -> None:
    said = await crash_at(point, tmp_path, expected={2: expected_of_the_engine}, victim=victim)
    # Both pictures go on, or neither: of the last step one thread may have written more than the other was told.
    assert said["checkpoints used"] >= used - 1
    assert (said["checkpoints refused"] > 0) == (point == "checkpoint half written")
