"""A studio on a temporary folder, with an engine that paints at once and can be held up."""

import asyncio
import base64
import io
import os
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import Engine, create_engine, make_url, select, text

from underpaint.catalog import Catalog
from underpaint.database import images, open_database, rows
from underpaint.diffusion.strength import steps_to_run
from underpaint.engine.messages import Failed, Finished, JobRequest, Picture, PreprocessRequest, Progress
from underpaint.engine.process import Doings, Outcome
from underpaint.images import DecodeLimits, Fetcher, FetchPolicy, ImageStore
from underpaint.settings import Settings
from underpaint.studio.caller import Caller, OnPart, Reply
from underpaint.studio.cancellation import Cancellation
from underpaint.studio.journal import Journal
from underpaint.studio.links import links_by
from underpaint.studio.pictures import Pictures
from underpaint.studio.progress import OnProgress
from underpaint.studio.requests import RUNNABLE_ARCHITECTURES
from underpaint.studio.studio import Studio

CALLER = Caller(owner="key-1", base_url="http://studio.test")
STRANGER = Caller(owner="key-2", base_url="http://studio.test")


class PaintingEngine:
    """Stands in for the engine process: a picture's colour tells its seed, and `hold` keeps jobs from finishing."""

    def __init__(self) -> None:
        self.state: Literal["starting", "ready", "stopped"] = "ready"
        self.restarts = 0
        self.doings = Doings()
        self.jobs: list[JobRequest] = []
        self.begun = asyncio.Event()
        self.failure: Failed | None = None
        self.unsafe = False
        """What it says of pictures that it is to judge."""
        self._held: list[tuple[JobRequest, asyncio.Future[Outcome]]] = []
        self.holding = False
        self.queueing = False
        """Whether jobs that it holds wait before their first step, and not after half of them."""
        self.estimates: dict[str, float] = {}
        self.on_progress: Callable[[Progress], None] = lambda _: None

    def submit(
        self, requests: Sequence[JobRequest], *, on_progress: Callable[[Progress], None] = lambda _: None
    ) -> list[asyncio.Future[Outcome]]:
        self.jobs.extend(requests)
        self.begun.set()
        self.on_progress = on_progress
        futures: list[asyncio.Future[Outcome]] = []
        for request in requests:
            future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            futures.append(future)
            if self.holding:
                if not self.queueing:
                    on_progress(step_of(request, request.steps // 2))
                self._held.append((request, future))
            else:
                future.set_result(self._outcome(request))
        return futures

    def release(self, count: int | None = None) -> None:
        """Let held jobs finish."""
        released, self._held = self._held[:count], [] if count is None else self._held[count:]
        for request, future in released:
            future.set_result(self._outcome(request))

    def cancel(self, job_ids: Sequence[str]) -> None:
        for request, future in self._held:
            if request.job_id in job_ids:
                future.set_result(
                    Failed(job_id=request.job_id, code="cancelled", message="the task was cancelled")
                )
        self._held = [held for held in self._held if held[0].job_id not in job_ids]

    def seconds_left(self, job_id: str) -> float | None:
        return self.estimates.get(job_id)

    async def stop(self) -> None:
        self.state = "stopped"
        for request, future in self._held:
            future.set_result(
                Failed(job_id=request.job_id, code="stopping", message="the server is stopping")
            )
        self._held = []

    def _outcome(self, request: JobRequest) -> Outcome:
        if self.failure is not None:
            return replace(self.failure, job_id=request.job_id)
        run = sum(steps_to_run(each.steps, each.strength) for each in request.passes)
        unsafe = None if request.safety_check is None else self.unsafe
        if run == 0:
            assert request.picture is not None
            return Finished(job_id=request.job_id, picture=request.picture, steps_run=0, unsafe=unsafe)
        shade = np.full((request.height_px, request.width_px, 3), request.seed % 256, np.uint8)
        return Finished(job_id=request.job_id, picture=shade, steps_run=run, unsafe=unsafe)


class CopyingPreprocessors:
    """Stands in for the process of preprocessors: a guide image is the picture itself, and `hold` keeps it back."""

    def __init__(self) -> None:
        self.requests: list[PreprocessRequest] = []
        self.begun = asyncio.Event()
        self.holding = False
        self.failure: Failed | None = None
        self._held: dict[str, asyncio.Future[Outcome]] = {}

    def submit(
        self,
        requests: Sequence[PreprocessRequest],
        *,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> list[asyncio.Future[Outcome]]:
        futures: list[asyncio.Future[Outcome]] = []
        for request in requests:
            self.requests.append(request)
            futures.append(asyncio.get_running_loop().create_future())
            if self.holding:
                self._held[request.job_id] = futures[-1]
            elif self.failure is not None:
                futures[-1].set_result(
                    Failed(job_id=request.job_id, code=self.failure.code, message=self.failure.message)
                )
            else:
                futures[-1].set_result(Finished(job_id=request.job_id, picture=request.picture, steps_run=0))
        self.begun.set()
        return futures

    def cancel(self, job_ids: Sequence[str]) -> None:
        self._end(job_ids, "cancelled")

    async def stop(self) -> None:
        self._end(list(self._held), "stopping")

    def _end(self, job_ids: Sequence[str], code: Literal["cancelled", "stopping"]) -> None:
        for job_id in job_ids:
            self._held.pop(job_id).set_result(Failed(job_id=job_id, code=code, message="it has ended"))


def step_of(
    request: JobRequest,
    step: int,
    *,
    stage: Literal["loading", "running"] = "running",
    preview: Picture | None = None,
) -> Progress:
    """What the engine says when a job is at a step."""
    return Progress(job_id=request.job_id, stage=stage, step=step, steps=request.steps, preview=preview)


class Workplace:
    """A studio, and what a test wants to reach inside it."""

    def __init__(self, folder: Path, database: Engine, fetcher: Fetcher, **settings: Any) -> None:
        self.settings = Settings(
            data_dir=folder, alias="runware:101@1=underpaint:1@2", **{"executor": "eager", **settings}
        )
        self.engine = PaintingEngine()
        self.preprocessors = CopyingPreprocessors()
        self.database = database
        self.journal = Journal(database)
        self.pictures = Pictures(
            store=ImageStore(folder / "images"),
            database=database,
            fetcher=fetcher,
            limits=DecodeLimits(),
            upload_ttl_s=self.settings.upload_ttl_s,
            share=self.settings.share_images,
            links=links_by(self.settings),
        )
        self.studio = Studio(
            settings=self.settings,
            catalog=Catalog(self.settings, runnable=RUNNABLE_ARCHITECTURES),
            pictures=self.pictures,
            journal=self.journal,
            engine=self.engine,  # type: ignore[arg-type]
            preprocessors=self.preprocessors,  # type: ignore[arg-type]
        )

    async def perform(
        self,
        raw: object,
        caller: Caller = CALLER,
        *,
        hold_s: float = 0.0,
        on_progress: OnProgress | None = None,
        on_part: OnPart | None = None,
        cancellation: Cancellation | None = None,
    ) -> Reply:
        return await self.studio.perform(
            raw,
            caller,
            hold_s=hold_s,
            on_progress=on_progress,
            on_part=on_part,
            cancellation=cancellation,
        )


def kept(workplace: Workplace, kind: str) -> list[str]:
    """UUIDs of the stored pictures of a kind: seed, upload or result."""
    return [row.image_uuid for row in rows(workplace.database, select(images).where(images.c.kind == kind))]


def fresh_database(folder: Path) -> Engine:
    """An empty database: SQLite, or the PostgreSQL one that `tests/postgres` has these tests use."""
    url = os.environ.get("TEST_DATABASE_URL")
    if url is not None:
        engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
        with engine.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        engine.dispose()
    return open_database(folder, url)


@pytest.fixture
async def open_workplace(tmp_path: Path) -> AsyncIterator[Callable[..., Workplace]]:
    """Opens studios on one folder, one after the other, as restarts of a server do."""
    database = fresh_database(tmp_path)
    async with Fetcher(FetchPolicy()) as fetcher:
        yield lambda **settings: Workplace(tmp_path, database, fetcher, **settings)
    database.dispose()


@pytest.fixture
def workplace(open_workplace: Callable[..., Workplace]) -> Workplace:
    return open_workplace()


def encoded(size: tuple[int, int] = (96, 64), color: tuple[int, int, int] = (200, 40, 90)) -> str:
    """A plain PNG in base64."""
    stream = io.BytesIO()
    Image.new("RGB", size, color).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def half_white(size: tuple[int, int] = (96, 64)) -> str:
    """A PNG in base64, black on the left and white on the right."""
    stream = io.BytesIO()
    mask = Image.new("L", size)
    mask.paste(255, (size[0] // 2, 0, *size))
    mask.save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def transformation(**changes: Any) -> dict[str, Any]:
    """A small, valid imageInference task."""
    task = {
        "taskType": "imageInference",
        "taskUUID": str(uuid.uuid4()),
        "model": "underpaint:1@2",
        "positivePrompt": "watercolor painting",
        "seedImage": encoded(),
        "strength": 0.5,
        "width": 128,
        "height": 128,
        "steps": 10,
        "seed": 7,
        **changes,
    }
    return {name: value for name, value in task.items() if value is not ...}


def error_of(reply: Reply) -> dict[str, Any]:
    """The only error of a reply that holds nothing else."""
    assert not reply.data, reply.data
    [(_, item)] = reply.errors
    return dict(item)


def item_of(reply: Reply) -> dict[str, Any]:
    """The only item of a reply that holds nothing else."""
    assert not reply.errors, reply.errors
    [item] = reply.data
    return dict(item)


async def open_result(workplace: Workplace, item: dict[str, Any]) -> Image.Image:
    """The picture of a result, as a client would fetch it by its URL."""
    name = item["imageURL"].removeprefix("http://studio.test/images/")
    opened = await workplace.studio.open_image(*name.split("."))
    assert opened is not None
    return Image.open(io.BytesIO(opened.data))
