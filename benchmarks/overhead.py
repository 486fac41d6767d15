"""Time in the server outside the model, for each HTTP request that is answered with a URL.

python -m benchmarks.overhead [--requests 300] [--same-seed-image]

The real application under uvicorn on a real socket, as `underpaint serve` runs it, with everything it does for a
request but the engine, in whose place one returns pictures at once. The client is a process of its own that sends one
request after the other, and measures from the first byte of a request to the last of its answer. Encoding pictures is
timed where it happens and taken off. Every request brings another seed image, so nothing that was kept from the last
one helps.

The processor time of the server's process stands beside it, all that it used divided by the requests, with what it does
when they are answered. On a machine that does other work meanwhile it says more than the clock.
"""

import argparse
import asyncio
import base64
import http.client
import io
import json
import multiprocessing
import tempfile
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, cast
from unittest.mock import patch

import sqlalchemy
from PIL import Image

from benchmarks.sides import photo, report, spread
from underpaint.catalog import Catalog
from underpaint.engine.messages import Finished, JobRequest, Progress
from underpaint.engine.preprocessor_process import PreprocessorProcess
from underpaint.engine.process import EngineProcess, Outcome
from underpaint.images import DecodeLimits, Fetcher, FetchPolicy, ImageStore, encode_image
from underpaint.server.app import create_app
from underpaint.server.run import DrainingServer, uvicorn_config
from underpaint.settings import Settings
from underpaint.studio import outcomes
from underpaint.studio.journal import Journal
from underpaint.studio.pictures import Pictures
from underpaint.studio.requests import RUNNABLE_ARCHITECTURES
from underpaint.studio.studio import Studio

WANTED_MS = 5.0
WARM_UP = 20


class ReadyEngine:
    """In the engine's place: the picture of every job is there at once."""

    state: Literal["starting", "ready", "stopped"] = "ready"
    restarts = 0

    def __init__(self, size_px: int) -> None:
        self._picture = photo(size_px, 1)

    def submit(
        self, requests: Sequence[JobRequest], *, on_progress: Callable[[Progress], None] = lambda _: None
    ) -> list[asyncio.Future[Outcome]]:
        futures: list[asyncio.Future[Outcome]] = []
        for request in requests:
            future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            future.set_result(Finished(job_id=request.job_id, picture=self._picture, steps_run=request.steps))
            futures.append(future)
        return futures

    def cancel(self, job_ids: Sequence[str]) -> None:
        """Nothing is left to cancel."""

    def seconds_left(self, job_id: str) -> float | None:
        return None

    async def stop(self) -> None:
        self.state = "stopped"


@contextmanager
def running_server(folder: Path, size_px: int) -> Iterator[int]:
    """The server on a free port of this machine, which it gives."""
    settings = Settings(data_dir=folder, port=0, log_level="error")

    @asynccontextmanager
    async def open_studio(settings: Settings, database: sqlalchemy.Engine) -> AsyncIterator[Studio]:
        async with Fetcher(FetchPolicy()) as fetcher:
            pictures = Pictures(
                store=ImageStore(settings.data_dir / "images"),
                database=database,
                fetcher=fetcher,
                limits=DecodeLimits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels),
                upload_ttl_s=settings.upload_ttl_s,
            )
            yield Studio(
                settings=settings,
                catalog=Catalog(settings, runnable=RUNNABLE_ARCHITECTURES),
                pictures=pictures,
                journal=Journal(database),
                engine=cast(EngineProcess, ReadyEngine(size_px)),
                preprocessors=PreprocessorProcess(),
            )

    app = create_app(settings, studio_factory=open_studio)
    server = DrainingServer(
        uvicorn_config(app, settings), app, grace_s=settings.drain_grace_s, owns_process=True
    )
    # As `serve` runs it, with uvloop where it is installed.
    thread = threading.Thread(target=server.run, name="server")
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the server did not start")
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


class TimedEncoding:
    """Encodes pictures as the server does, and notes how long that took, by the clock and in processor time."""

    def __init__(self) -> None:
        self.seconds_by_format: dict[str, float] = {}
        self.processor_s = 0.0

    def __call__(self, image: Image.Image, **options: Any) -> bytes:
        began_s, worked_s = time.perf_counter(), time.thread_time()
        data = encode_image(image, **options)
        name = options["format"]
        taken_s = time.perf_counter() - began_s
        self.seconds_by_format[name] = self.seconds_by_format.get(name, 0.0) + taken_s
        self.processor_s += time.thread_time() - worked_s
        return data


def serve_as_client(port: int, commands: Connection) -> None:
    """What the client's process does: it sends the tasks that it is given over one connection that is kept."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.connect()
    while (task := commands.recv()) is not None:
        body = json.dumps([task]).encode()
        began_s = time.perf_counter()
        connection.request("POST", "/v1", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        commands.send((answer.status, content, time.perf_counter() - began_s))
    connection.close()


class Client:
    """One connection that is kept, in a process of its own."""

    def __init__(self, port: int) -> None:
        processes = multiprocessing.get_context("spawn")
        self._commands, theirs = processes.Pipe()
        self._process = processes.Process(target=serve_as_client, args=(port, theirs), daemon=True)
        self._process.start()

    def post(self, task: dict[str, Any]) -> tuple[dict[str, Any], float]:
        """The only result of a task, and the seconds from its first byte to the last of the answer."""
        self._commands.send(task)
        status, content, taken_s = self._commands.recv()
        if status != 200:
            raise RuntimeError(content.decode())
        [item] = json.loads(content)["data"]
        return item, taken_s

    def close(self) -> None:
        self._commands.send(None)
        self._process.join()


def png(size_px: int, number: int) -> str:
    """A seed image, in base64; another one for every number."""
    stream = io.BytesIO()
    Image.fromarray(photo(size_px, number)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def upload(client: Client, picture: str) -> str:
    """The UUID of an uploaded picture."""
    item, _ = client.post({"taskType": "imageUpload", "taskUUID": str(uuid.uuid4()), "image": picture})
    return str(item["imageUUID"])


def measure(
    client: Client, encoding: TimedEncoding, task: dict[str, Any], seed_images: Sequence[str], requests: int
) -> dict[str, object]:
    """Send a task again and again, each time as a new one, with one seed image after the other."""
    outside_ms: list[float] = []
    encoding_ms: dict[str, list[float]] = {}
    total_ms: list[float] = []
    worked_s = here_s = encoded_s = 0.0
    for number in range(WARM_UP + requests):
        if number == WARM_UP:
            worked_s, here_s, encoded_s = time.process_time(), time.thread_time(), encoding.processor_s
        encoding.seconds_by_format.clear()
        seed_image = seed_images[number % len(seed_images)]
        item, taken_s = client.post({**task, "taskUUID": str(uuid.uuid4()), "seedImage": seed_image})
        assert item["imageURL"].startswith("http://")
        if number < WARM_UP:
            continue
        total_ms.append(1000 * taken_s)
        outside_ms.append(1000 * (taken_s - sum(encoding.seconds_by_format.values())))
        for name, taken in encoding.seconds_by_format.items():
            encoding_ms.setdefault(name, []).append(1000 * taken)
    # This thread is the benchmark's own.
    processor_s = (
        time.process_time() - worked_s - (time.thread_time() - here_s) - (encoding.processor_s - encoded_s)
    )
    return {
        "without_encoding_ms": spread(outside_ms, 2),
        "processor_without_encoding_ms": round(1000 * processor_s / requests, 2),
        "encoding_ms": {name: spread(each, 2) for name, each in encoding_ms.items()},
        "total_ms": spread(total_ms, 2),
    }


def main() -> None:
    """Measure and report."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--requests", type=int, default=300, help="of each kind")
    options.add_argument("--size", type=int, default=256, help="width and height in pixels")
    options.add_argument(
        "--folder", type=Path, help="where the server keeps its data meanwhile; else with temporary files"
    )
    options.add_argument(
        "--same-seed-image", action="store_true", help="every request brings the same seed image"
    )
    wanted = options.parse_args()

    encoding = TimedEncoding()
    kinds: dict[str, dict[str, object]] = {}
    with (
        tempfile.TemporaryDirectory(dir=wanted.folder) as folder,
        patch.object(outcomes, "encode_image", encoding),
        running_server(Path(folder), wanted.size) as port,
    ):
        client = Client(port)
        count = 1 if wanted.same_seed_image else WARM_UP + wanted.requests
        inline = [png(wanted.size, number) for number in range(count)]
        uploaded = [upload(client, picture) for picture in inline]
        for output_format in ("JPG", "PNG"):
            for seed, references in (("base64", inline), ("uploaded", uploaded)):
                task = {
                    "taskType": "imageInference",
                    "model": "underpaint:1@2",
                    "positivePrompt": "a house by the sea, watercolor",
                    "strength": 0.8,
                    "steps": 20,
                    "CFGScale": 7.0,
                    "width": wanted.size,
                    "height": wanted.size,
                    "outputType": "URL",
                    "outputFormat": output_format,
                }
                kinds[f"{output_format}, seed image {seed}"] = measure(
                    client, encoding, task, references, wanted.requests
                )
        client.close()
    medians = {
        name: cast(dict[str, float], kind["without_encoding_ms"])["median"] for name, kind in kinds.items()
    }
    report(
        "overhead",
        line=", ".join(
            f"{name}: {median:.1f} ms ({kinds[name]['processor_without_encoding_ms']:.1f} of processor time)"
            for name, median in medians.items()
        )
        + " without encoding.",
        met={f"{name}: under {WANTED_MS:g} ms": median < WANTED_MS for name, median in medians.items()},
        size_px=wanted.size,
        requests_of_each_kind=wanted.requests,
        same_seed_image=wanted.same_seed_image,
        kinds=kinds,
    )


if __name__ == "__main__":
    main()
