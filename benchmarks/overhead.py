"""Time in the server outside the model, for each HTTP request that is answered with a URL.

python -m benchmarks.overhead [--rounds 15] [--same-seed-image]

The real application under uvicorn on a real socket, as `underpaint serve` runs it, with everything it does for a
request but the engine, in whose place one returns pictures at once, and but the encoding, for which a file stands that
was encoded before. The client is a process of its own that sends one request after the other, and measures from the
first byte of a request to the last of its answer. Every request brings another seed image than the last one, so nothing
that was kept from that helps. Beside it stand the same requests with encoding, and encoding itself.

Requests are sent in rounds, all kinds in turns, and the median over the medians of rounds counts. What else a machine
does makes requests slower and never faster, so the quietest round stands beside it. The processor time of the server's
process is all that it used divided by the requests, with what it does when they are answered.
"""

import argparse
import asyncio
import base64
import http.client
import io
import itertools
import json
import multiprocessing
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

from PIL import Image

from benchmarks.sides import photo, report, spread
from underpaint.engine.messages import Finished, JobRequest, Progress
from underpaint.engine.process import Doings, Outcome
from underpaint.images import encode_image
from underpaint.server.app import create_app
from underpaint.server.run import DrainingServer, uvicorn_config
from underpaint.settings import Settings
from underpaint.studio import outcomes, studio
from underpaint.studio.picture_files import WRITE_BEHIND_S

WANTED_MS = 5.0
WARM_UP = 10
SEED_IMAGES = 50
"""So many in turns."""


class ReadyEngine:
    """In the engine's place: the picture of every job is there at once."""

    state: Literal["starting", "ready", "stopped"] = "ready"
    restarts = 0
    doings = Doings()

    def __init__(self, size_px: int) -> None:
        self._picture = photo(size_px, 1)

    async def start(self) -> None:
        """It is."""

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
    app = create_app(settings)
    server = DrainingServer(
        uvicorn_config(app, settings), app, grace_s=settings.drain_grace_s, owns_process=True
    )
    # As `serve` runs it, with uvloop where it is installed.
    thread = threading.Thread(target=server.run, name="server")
    with patch.object(studio, "EngineProcess", lambda *_, **__: ReadyEngine(size_px)):
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


class Encoding:
    """Encodes pictures as the server does, and notes how long that took; or leaves it out."""

    def __init__(self) -> None:
        self.left_out = False
        self.seconds: list[float] = []
        self._kept: dict[str, bytes] = {}

    def __call__(self, image: Image.Image, **options: Any) -> bytes:
        name = options["format"]
        if self.left_out and name in self._kept:
            return self._kept[name]
        began_s = time.perf_counter()
        self._kept[name] = encode_image(image, **options)
        self.seconds.append(time.perf_counter() - began_s)
        return self._kept[name]


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


class Kind:
    """Requests for one format with one kind of seed image, and what was measured of them."""

    def __init__(
        self, client: Client, encoding: Encoding, task: dict[str, Any], seed_images: Sequence[str]
    ) -> None:
        self._client = client
        self._encoding = encoding
        self._task = task
        self._seed_images = itertools.cycle(seed_images)
        self._rounds_ms: list[float] = []
        self._processor_ms: list[float] = []
        self._encoding_ms: list[float] = []
        self._with_encoding_ms: list[float] = []

    def measure(self, requests: int) -> None:
        """One round: so many requests without encoding, after some with it."""
        self._encoding.left_out = False
        self._send(WARM_UP)
        self._encoding.seconds.clear()
        self._with_encoding_ms += self._send(WARM_UP)
        self._encoding_ms += [1000 * seconds for seconds in self._encoding.seconds]
        self._encoding.left_out = True
        self._send(WARM_UP)
        # This thread is the benchmark's own.
        worked_s, here_s = time.process_time(), time.thread_time()
        self._rounds_ms.append(statistics.median(self._send(requests)))
        processor_s = time.process_time() - worked_s - (time.thread_time() - here_s)
        self._processor_ms.append(1000 * processor_s / requests)

    def figures(self) -> dict[str, dict[str, float]]:
        """Medians of the rounds, and all requests with encoding."""
        return {
            "without_encoding_ms": spread(self._rounds_ms, 2),
            "processor_without_encoding_ms": spread(self._processor_ms, 2),
            "encoding_ms": spread(self._encoding_ms, 2),
            "with_encoding_ms": spread(self._with_encoding_ms, 2),
        }

    def _send(self, count: int) -> list[float]:
        """Each as a new task, with the next seed image."""
        taken_ms: list[float] = []
        for _ in range(count):
            named = {"taskUUID": str(uuid.uuid4()), "seedImage": next(self._seed_images)}
            item, taken_s = self._client.post({**self._task, **named})
            assert item["imageURL"].startswith("http://")
            taken_ms.append(1000 * taken_s)
        return taken_ms


def main() -> None:
    """Measure and report."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--requests", type=int, default=25, help="of each kind in each round")
    options.add_argument("--size", type=int, default=256, help="width and height in pixels")
    options.add_argument(
        "--folder", type=Path, help="where the server keeps its data meanwhile; else with temporary files"
    )
    options.add_argument(
        "--same-seed-image", action="store_true", help="every request brings the same seed image"
    )
    wanted = options.parse_args()

    encoding = Encoding()
    with (
        tempfile.TemporaryDirectory(dir=wanted.folder) as folder,
        patch.object(outcomes, "encode_image", encoding),
        running_server(Path(folder), wanted.size) as port,
    ):
        client = Client(port)
        inline = [png(wanted.size, number) for number in range(1 if wanted.same_seed_image else SEED_IMAGES)]
        uploaded = [upload(client, picture) for picture in inline]
        # They become files meanwhile, which is no request's affair.
        time.sleep(2 * WRITE_BEHIND_S)
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
        }
        kinds = {
            f"{output_format}, seed image {seed}": Kind(
                client, encoding, {**task, "outputFormat": output_format}, seed_images
            )
            for output_format in ("JPG", "PNG")
            for seed, seed_images in (("base64", inline), ("uploaded", uploaded))
        }
        for _ in range(wanted.rounds):
            for kind in kinds.values():
                kind.measure(wanted.requests)
        client.close()
    figures = {name: kind.figures() for name, kind in kinds.items()}
    taken_ms = {name: each["without_encoding_ms"] for name, each in figures.items()}
    report(
        "overhead",
        line=", ".join(
            f"{name}: {each['median']:.1f} ms (quietest round {each['min']:.1f})"
            for name, each in taken_ms.items()
        )
        + " without encoding.",
        met={
            f"{name}: under {WANTED_MS:g} ms": each["median"] < WANTED_MS for name, each in taken_ms.items()
        },
        size_px=wanted.size,
        rounds=wanted.rounds,
        requests_of_a_round=wanted.requests,
        same_seed_image=wanted.same_seed_image,
        kinds=figures,
    )


if __name__ == "__main__":
    main()
