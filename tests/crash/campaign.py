"""One crash, and what must be true after it: `python -m tests.crash.campaign --kills 200 --seed 1`."""

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web
from sqlalchemy import func, select

from tests.crash.program import SERVER_POINTS
from tests.studio.conftest import transformation
from underpaint.database import deliveries, open_database, tasks

ROOT = Path(__file__).parents[2]
LISTENING = "Underpaint is listening on "
RESULTS = 2
KILLED = -signal.SIGKILL


@dataclass
class Hooks:
    """Where webhooks arrive: the bodies by `webhook-id`."""

    url: str = ""
    bodies: dict[str, list[bytes]] = field(default_factory=dict)

    async def answer(self, request: web.Request) -> web.Response:
        self.bodies.setdefault(request.headers["webhook-id"], []).append(await request.read())
        return web.Response()

    @property
    def images(self) -> list[str]:
        return [json.loads(bodies[0])["data"][0]["imageUUID"] for bodies in self.bodies.values()]


@asynccontextmanager
async def hooks() -> AsyncIterator[Hooks]:
    receiver = Hooks()
    application = web.Application()
    application.router.add_post("/", receiver.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@dataclass
class Server:
    """A server process, and its address."""

    process: asyncio.subprocess.Process
    url: str = ""
    lines: list[str] = field(default_factory=list)

    async def read(self) -> None:
        assert self.process.stderr is not None
        while line := (await self.process.stderr.readline()).decode():
            self.lines.append(line)
            if LISTENING in line:
                self.url = line.split(LISTENING)[1].split()[0]


@asynccontextmanager
async def server(folder: Path, **environment: str) -> AsyncIterator[Server]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.crash.program"),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
            "CRASH_FOLDER": str(folder),
            "UNDERPAINT_DATA_DIR": str(folder / "data"),
            "UNDERPAINT_PORT": "0",
            "UNDERPAINT_FETCH_ALLOW_PRIVATE": "true",
            "UNDERPAINT_DETERMINISM": "strict",
            # Links must not change with the port, which another server of this machine may take in between.
            "UNDERPAINT_PUBLIC_URL": "http://crash.test",
            **environment,
        },
    )
    here = Server(process=process)
    reading = asyncio.create_task(here.read())
    try:
        async with asyncio.timeout(120):
            while not here.url:
                assert process.returncode is None or process.returncode == KILLED, "".join(here.lines)
                await asyncio.sleep(0.01)
        yield here
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await reading


async def post(url: str, task: dict[str, Any]) -> dict[str, Any]:
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
        reply: dict[str, Any] = (await client.post(url, json=[task])).json()
        return reply


async def outcome(url: str, task: dict[str, Any], *, timeout_s: float = 60) -> list[dict[str, Any]]:
    """Poll until the task has its results."""
    question = {"taskType": "getResponse", "taskUUID": task["taskUUID"]}
    async with asyncio.timeout(timeout_s):
        while True:
            reply = await post(url, question)
            assert "errors" not in reply, reply
            items: list[dict[str, Any]] = reply["data"]
            if all(item["status"] == "success" for item in items) and len(items) == task["numberResults"]:
                return items
            await asyncio.sleep(0.05)


async def digests(url: str, items: list[dict[str, Any]]) -> list[str]:
    """Of the pictures, byte for byte."""
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
        replies = [await client.get(f"{url}/images/{item['imageURL'].rpartition('/')[2]}") for item in items]
    assert {reply.status_code for reply in replies} == {200}
    return [hashlib.sha256(reply.content).hexdigest() for reply in replies]


def new_task(seed: int, webhook_url: str, **more: Any) -> dict[str, Any]:
    return transformation(
        taskUUID=str(uuid.uuid4()),
        seed=seed,
        numberResults=RESULTS,
        deliveryMethod="async",
        outputFormat="PNG",
        webhookURL=webhook_url,
        **more,
    )


async def crash_at(point: str, folder: Path, *, seed: int, expected: list[str]) -> None:
    """Kill a server at that point of a task, start another, and check that nothing is lost and nothing doubled."""
    async with hooks() as receiver:
        task = new_task(seed, receiver.url)
        acknowledged = False
        async with server(folder, CRASH_POINT=point) as first:
            with contextlib.suppress(httpx.HTTPError):
                acknowledged = "data" in await post(first.url, task)
            async with asyncio.timeout(60):
                status = await first.process.wait()
            assert status == KILLED, "".join(first.lines)
        async with server(folder) as second:
            again = await post(second.url, task)
            conflict = again.get("errors", [{}])[0].get("code") == "conflictTaskUUID"
            # What was acknowledged must be there. What was not may be: then its repeat is a conflict, as for a client.
            assert conflict or (not acknowledged and "data" in again), (acknowledged, again)
            items = await outcome(second.url, task)
            assert [item["seed"] for item in items] == [seed, seed + 1]
            assert len({item["imageUUID"] for item in items}) == RESULTS
            assert await digests(second.url, items) == expected
            database = open_database(folder / "data")
            async with asyncio.timeout(60):
                while _count(database, deliveries):  # noqa: ASYNC110, it is another process's doing
                    await asyncio.sleep(0.02)
            assert _count(database, tasks) == 1
            database.dispose()
        # At least once each, a repeat under the same id and with the same body, and of no other picture.
        assert sorted(receiver.images) == sorted(item["imageUUID"] for item in items)
        assert all(len(set(bodies)) == 1 for bodies in receiver.bodies.values())
        if point == "webhook sent":
            assert max(map(len, receiver.bodies.values())) == 2


def _count(database: Any, table: Any) -> int:
    with database.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


async def uninterrupted(folder: Path, seed: int, **environment: str) -> list[str]:
    """The pictures of the same task without a crash."""
    async with hooks() as receiver, server(folder, **environment) as running:
        task = new_task(seed, receiver.url)
        assert "data" in await post(running.url, task)
        return await digests(running.url, await outcome(running.url, task))


async def campaign(kills: int, seed: int) -> Counter[str]:
    """Crash at random points, `kills` times. Returns how often at each."""
    chance, done = random.Random(seed), Counter[str]()
    references: dict[int, list[str]] = {}
    for number in range(kills):
        point, picture_seed = chance.choice(SERVER_POINTS), chance.randrange(1, 6)
        with tempfile.TemporaryDirectory() as folder:
            if picture_seed not in references:
                (Path(folder) / "reference").mkdir()
                references[picture_seed] = await uninterrupted(Path(folder) / "reference", picture_seed)
            await crash_at(point, Path(folder), seed=picture_seed, expected=references[picture_seed])
        done[point] += 1
        print(f"{number + 1}/{kills}: {point}: nothing lost, nothing doubled", flush=True)  # noqa: T201
    return done


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    print(dict(asyncio.run(campaign(chosen.kills, chosen.seed))))  # noqa: T201
