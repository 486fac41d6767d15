"""One crash, and what must be true after it: `python -m tests.crash.campaign --kills 200 --seed 1`.

A crash hits several accepted tasks at once. Servers and engines are forked from a process that has imported torch
already: their starts would take most of the time.
"""

import argparse
import asyncio
import atexit
import contextlib
import functools
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web
from sqlalchemy import func, select

from tests.checkpoints import write_checkpoint
from tests.crash.forked import ForkedProcess
from tests.crash.program import ENGINE_POINTS, SERVER_POINTS, STEPS, VICTIMS
from tests.studio.conftest import transformation
from underpaint.catalog.entry import ModelEntry, ModelFiles
from underpaint.catalog.installed import InstalledModels
from underpaint.database import deliveries, open_database, tasks

ROOT = Path(__file__).parents[2]
LISTENING = "Underpaint is listening on "
RESULTS = 2
TASKS = 2
"""How many each crash of the campaign hits."""
FORKING = False
"""Whether servers and engines are forked from a process that has imported everything: in the campaign."""
KILLED = -signal.SIGKILL
MODEL = "crash:1@1"
"""A tiny one: what a crash leaves behind does not depend on the size."""
REAL_ENGINE = {"CRASH_ENGINE": "1", "UNDERPAINT_DEFAULT_MODEL": MODEL}
CHECKPOINTS = {"UNDERPAINT_CHECKPOINT_INTERVAL_S": "0"}


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

    process: ForkedProcess | asyncio.subprocess.Process
    log: Path
    url: str = ""
    lines: list[str] = field(default_factory=list)

    @property
    def said_of_checkpoints(self) -> Counter[str]:
        """How many jobs went on from one, and how many found one that they could not use."""
        return Counter(
            {
                "checkpoints used": sum("goes on after" in line and "steps" in line for line in self.lines),
                "checkpoints refused": sum(
                    "checkpoint" in line and "not used" in line for line in self.lines
                ),
            }
        )

    def read(self) -> None:
        """What it has said so far."""
        self.lines = self.log.read_text("utf-8", "replace").splitlines(keepends=True)
        for line in self.lines:
            if LISTENING in line and line.endswith("\n"):
                self.url = line.split(LISTENING)[1].split()[0]


@functools.cache
def tiny_model() -> ModelEntry:
    """The model of the real engine, in a folder that goes with this process."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    files = ModelFiles(form="folder", location=str(write_checkpoint(folder / "model")))
    return ModelEntry(air=MODEL, name="tiny", version="1", architecture="sd1x", files=files)


@asynccontextmanager
async def server(folder: Path, **environment: str) -> AsyncIterator[Server]:
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
        "CRASH_FOLDER": str(folder),
        "UNDERPAINT_DATA_DIR": str(folder / "data"),
        "UNDERPAINT_PORT": "0",
        "UNDERPAINT_FETCH_ALLOW_PRIVATE": "true",
        "UNDERPAINT_DETERMINISM": "strict",
        "UNDERPAINT_EXECUTOR": "eager",
        # Links must not change with the port, which another server of this machine may take in between.
        "UNDERPAINT_PUBLIC_URL": "http://crash.localhost",
        **environment,
    }
    if "CRASH_ENGINE" in environment:
        InstalledModels(folder / "data").add(tiny_model(), replace=True)
    log = folder / f"log-{uuid.uuid4()}"
    log.touch()
    process: ForkedProcess | asyncio.subprocess.Process
    if FORKING:
        process = ForkedProcess(environment, log)
    else:
        with log.open("ab") as said:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.crash.program"), cwd=ROOT, stderr=said, env=environment
            )
    here = Server(process=process, log=log)
    try:
        async with asyncio.timeout(300):
            while not here.url:
                here.read()
                assert process.returncode is None or process.returncode == KILLED, "".join(here.lines)
                await asyncio.sleep(0.01)
        yield here
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        here.read()


def _http() -> httpx.AsyncClient:
    # Certificates, which nothing here has, would take longer to read than a picture to make.
    return httpx.AsyncClient(timeout=300, trust_env=False, verify=False)


async def post(url: str, task: dict[str, Any]) -> dict[str, Any]:
    async with _http() as client:
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
    async with _http() as client:
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


def work_for_the_engine(seed: int) -> dict[str, Any]:
    """What a task for the real engine asks for: a few steps, and another sampler for each seed."""
    schedulers = ("Default", "Euler a", "DPM++ 2M Karras", "Heun", "DPM++ SDE")
    return {
        "model": MODEL,
        "steps": STEPS,
        "strength": 1.0,
        "CFGScale": 2,
        "scheduler": schedulers[seed % len(schedulers)],
    }


async def crash_at(
    point: str, folder: Path, *, expected: Mapping[int, list[str]], victim: str = "server"
) -> Counter[str]:
    """Kill a server at that point of its tasks, start another, and check that nothing is lost and nothing doubled.

    There is one task for each of the seeds that `expected` has the pictures of, all sent at once. At a point of the
    engine the victim may be the engine, whose server then goes on, or both. Returns what the engine said of
    checkpoints.
    """
    in_engine = point in ENGINE_POINTS
    afterwards = {**REAL_ENGINE, **CHECKPOINTS} if in_engine else {}
    environment = afterwards or {"CRASH_POINT": point}
    async with hooks() as receiver:
        tasks = [
            new_task(seed, receiver.url, **(work_for_the_engine(seed) if in_engine else {}))
            for seed in expected
        ]
        if victim == "engine":
            async with server(folder, **environment) as only:
                (folder / "order").write_text(f"{point}:{victim}")
                for reply in await asyncio.gather(*(post(only.url, task) for task in tasks)):
                    assert "data" in reply, reply
                await _check(only, folder, tasks, receiver, expected=expected)
                assert not (folder / "order").exists(), "nothing was killed"
                only.read()
                assert any("the engine process ended" in line for line in only.lines)
            return only.said_of_checkpoints
        async with server(folder, **environment) as first:
            if in_engine:
                (folder / "order").write_text(f"{point}:{victim}")
            acknowledged = await asyncio.gather(*(_acknowledged(first.url, task) for task in tasks))
            async with asyncio.timeout(600):
                status = await first.process.wait()
            assert status == KILLED, "".join(first.lines)
        async with server(folder, **afterwards) as second:
            for task, was_acknowledged in zip(tasks, acknowledged, strict=True):
                again = await post(second.url, task)
                conflict = again.get("errors", [{}])[0].get("code") == "conflictTaskUUID"
                # What was acknowledged must be there. What was not may be: then its repeat is a conflict, as for a
                # client.
                assert conflict or (not was_acknowledged and "data" in again), (was_acknowledged, again)
            await _check(second, folder, tasks, receiver, expected=expected)
        if point == "webhook sent":
            assert max(map(len, receiver.bodies.values())) == 2
        return second.said_of_checkpoints


async def _acknowledged(url: str, task: dict[str, Any]) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return "data" in await post(url, task)
    return False


async def _check(
    running: Server,
    folder: Path,
    accepted: Sequence[dict[str, Any]],
    receiver: Hooks,
    *,
    expected: Mapping[int, list[str]],
) -> None:
    """Every task ends once, with the expected pictures, and all of its webhooks arrive."""
    made: list[str] = []
    for task in accepted:
        items = await outcome(running.url, task, timeout_s=600)
        assert [item["seed"] for item in items] == [task["seed"], task["seed"] + 1]
        assert await digests(running.url, items) == expected[task["seed"]]
        made += [item["imageUUID"] for item in items]
    assert len(set(made)) == RESULTS * len(accepted)
    database = open_database(folder / "data")
    async with asyncio.timeout(60):
        while _count(database, deliveries):  # noqa: ASYNC110, it is another process's doing
            await asyncio.sleep(0.02)
    assert _count(database, tasks) == len(accepted)
    database.dispose()
    # At least once each, a repeat under the same id and with the same body, and of no other picture.
    assert sorted(receiver.images) == sorted(made)
    assert all(len(set(bodies)) == 1 for bodies in receiver.bodies.values())


def _count(database: Any, table: Any) -> int:
    with database.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


async def uninterrupted(folder: Path, seed: int, *, real: bool = False) -> list[str]:
    """The pictures of the same task without a crash; of the real engine without any checkpoints either."""
    environment = REAL_ENGINE if real else {}
    async with hooks() as receiver, server(folder, **environment) as running:
        task = new_task(seed, receiver.url, **(work_for_the_engine(seed) if real else {}))
        assert "data" in await post(running.url, task)
        return await digests(running.url, await outcome(running.url, task, timeout_s=600))


async def campaign(kills: int, seed: int, engine_share: float) -> Counter[str]:
    """Crash at random points, `kills` times. Returns how often at each, and what was said of checkpoints.

    Args:
        kills: how many.
        seed: of the random choices.
        engine_share: how many of them happen at a moment of the real engine.
    """
    chance, done = random.Random(seed), Counter[str]()
    references: dict[tuple[bool, int], list[str]] = {}
    kinds = [number < round(kills * engine_share) for number in range(kills)]
    chance.shuffle(kinds)
    for number, real in enumerate(kinds):
        point = chance.choice(ENGINE_POINTS if real else SERVER_POINTS)
        victim = chance.choice(VICTIMS) if real else "server"
        # Not neighbours: the second picture of a task has the seed of the next one's first.
        seeds = chance.sample((1, 3, 5, 7, 9), TASKS)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            folder = Path(name)
            for picture_seed in seeds:
                if (real, picture_seed) not in references:
                    reference = folder / f"reference-{picture_seed}"
                    reference.mkdir()
                    references[real, picture_seed] = await uninterrupted(reference, picture_seed, real=real)
            expected = {picture_seed: references[real, picture_seed] for picture_seed in seeds}
            done += await crash_at(point, folder, expected=expected, victim=victim)
        done[f"{point} ({victim})"] += 1
        print(f"{number + 1}/{kills}: {point} ({victim}): nothing lost, nothing doubled", flush=True)  # noqa: T201
    return done


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine-share", type=float, default=0.25)
    chosen = parser.parse_args()
    FORKING = True
    began_s = time.monotonic()
    told = asyncio.run(campaign(chosen.kills, chosen.seed, chosen.engine_share))
    print(f"{dict(sorted(told.items()))}, {time.monotonic() - began_s:.0f} s")  # noqa: T201
