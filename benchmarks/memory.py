"""Resident memory of the engine's process: after thousands of requests, and after switching between two models.

python -m benchmarks.memory [--requests 5000] [--switches 50]
"""

import argparse
import asyncio
import multiprocessing
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.sides import options_of, photo, report
from underpaint.engine.messages import EngineOptions, Failed, JobRequest, ModelReference
from underpaint.engine.process import EngineProcess

WANTED_GROWTH = 0.02
WANTED_GROWTH_OF_SWITCHING = 0.05
WARM = 200
"""Requests after which memory is first read."""
WARM_SWITCHES = 4
AT_ONCE = 8
READINGS = 5
SETTLE_S = 0.2
ENCODINGS_BYTES = 4 * 2**20
"""Few, so that what the engine keeps of prompts and pictures is at its bound when memory is first read. How fast a
larger bound fills is not what is asked here."""
PROGRESS_INTERVAL_S = 20.0


class Watched:
    """An engine process and what it takes."""

    def __init__(self, engine: EngineProcess) -> None:
        self._engine = engine
        [child] = [one for one in multiprocessing.active_children() if one.name == "underpaint-engine"]
        self._process = psutil.Process(child.pid)
        self._count = 0

    async def paint(self, model: ModelReference, count: int, *, size_px: int) -> None:
        """Paint pictures, all of different prompts and seed pictures, in one step each."""
        requests = [self._request(model, size_px) for _ in range(count)]
        for outcome in await asyncio.gather(*self._engine.submit(requests)):
            if isinstance(outcome, Failed):
                raise RuntimeError(outcome.message)

    async def resident_bytes(self) -> int:
        """The median of some readings, while it has nothing to do."""
        readings: list[int] = []
        for _ in range(READINGS):
            await asyncio.sleep(SETTLE_S)
            readings.append(self._process.memory_info().rss)
        return int(statistics.median(readings))

    def _request(self, model: ModelReference, size_px: int) -> JobRequest:
        self._count += 1
        return JobRequest(
            job_id=str(self._count),
            owner=f"owner {self._count % 5}",
            model=model,
            prompt=f"a house by the sea, number {self._count}",
            negative_prompt="people",
            width_px=size_px,
            height_px=size_px,
            steps=5,
            strength=0.2,
            guidance_scale=7.0 if self._count % 2 else 1.0,
            scheduler=("DDIM", "Euler a", "DPM++ 2M Karras", "UniPC")[self._count % 4],
            seed=self._count,
            picture=photo(size_px, self._count),
        )


@asynccontextmanager
async def watched(wanted: argparse.Namespace, compiled: Path, **options: Any) -> AsyncIterator[Watched]:
    """An engine process of its own, which is ready when the context begins."""
    engine = EngineProcess(
        EngineOptions(
            threads=wanted.threads,
            executor=wanted.executor,
            compiled=compiled,
            encodings_bytes=ENCODINGS_BYTES,
            **options,
        )
    )
    await engine.start()
    try:
        while engine.state != "ready":  # noqa: ASYNC110, nobody says so
            await asyncio.sleep(SETTLE_S)
        yield Watched(engine)
    finally:
        await engine.stop()


async def after_requests(
    wanted: argparse.Namespace, model: ModelReference, compiled: Path
) -> dict[str, object]:
    """Memory by number of requests behind the engine."""
    resident: dict[int, int] = {}
    marks = sorted({WARM, wanted.requests, *range(WARM, wanted.requests, max(1, wanted.requests // 10))})
    began_s = said_s = time.monotonic()
    # Strict determinism waits for OpenVINO. The next process finds what this one has made, and begins with it.
    async with watched(wanted, compiled, preload=model, strict_rows=2):
        pass
    async with watched(wanted, compiled, preload=model) as engine:
        done = 0
        for mark in marks:
            while done < mark:
                count = min(AT_ONCE, mark - done)
                await engine.paint(model, count, size_px=wanted.size)
                done += count
                if time.monotonic() - said_s > PROGRESS_INTERVAL_S:
                    said_s = time.monotonic()
                    sys.stderr.write(f"{done} of {wanted.requests} requests\n")
            resident[mark] = await engine.resident_bytes()
    return {
        "requests": wanted.requests,
        "seconds": round(time.monotonic() - began_s, 1),
        "resident_mib": {str(mark): mebibytes(taken) for mark, taken in resident.items()},
        "growth": round(resident[wanted.requests] / resident[WARM] - 1, 4),
    }


async def after_switches(
    wanted: argparse.Namespace, models: list[ModelReference], compiled: Path
) -> dict[str, object]:
    """Memory by number of times that one model made room for the other."""
    resident: dict[int, int] = {}
    # Room for one model only, and so for no second form of its weights.
    async with watched(wanted, compiled, models_bytes=0) as engine:
        for switch in range(wanted.switches + 1):
            await engine.paint(models[switch % 2], 1, size_px=wanted.size)
            if switch <= WARM_SWITCHES or switch % 10 == 0 or switch == wanted.switches:
                resident[switch] = await engine.resident_bytes()
    return {
        "switches": wanted.switches,
        "resident_mib": {str(switch): mebibytes(taken) for switch, taken in resident.items()},
        "growth_since_first_model": round(resident[wanted.switches] / resident[0] - 1, 4),
        "growth_since_warm": round(resident[wanted.switches] / resident[WARM_SWITCHES] - 1, 4),
    }


def mebibytes(taken: int) -> float:
    """For people to read."""
    return round(taken / 2**20, 1)


async def measure(wanted: argparse.Namespace) -> None:
    """Measure and report."""
    model = ModelReference(architecture="sd1x", location=wanted.model)
    with tempfile.TemporaryDirectory() as folder:
        other = Path(shutil.copytree(wanted.model, Path(folder) / "other"))
        models = [model, ModelReference(architecture="sd1x", location=other)]
        compiled = Path(folder) / "compiled"
        switching = await after_switches(wanted, models, compiled)
        served = await after_requests(wanted, model, compiled)
    growth, growth_of_switching = served["growth"], switching["growth_since_first_model"]
    assert isinstance(growth, float)
    assert isinstance(growth_of_switching, float)
    report(
        "memory",
        line=f"{growth:+.1%} from {WARM} to {wanted.requests} requests, {growth_of_switching:+.1%} after "
        f"{wanted.switches} model switches.",
        met={
            f"at most {WANTED_GROWTH:.0%} more after {wanted.requests} requests than after {WARM}": growth
            <= WANTED_GROWTH,
            f"at most {WANTED_GROWTH_OF_SWITCHING:.0%} more after {wanted.switches} model switches": growth_of_switching
            <= WANTED_GROWTH_OF_SWITCHING,
        },
        size_px=wanted.size,
        encodings_mib=mebibytes(ENCODINGS_BYTES),
        served=served,
        switching=switching,
    )


def main() -> None:
    """Measure and report."""
    options = options_of(__doc__)
    options.add_argument("--requests", type=int, default=1500, help=f"more than {WARM}")
    options.add_argument("--switches", type=int, default=50, help=f"more than {WARM_SWITCHES}")
    options.add_argument("--size", type=int, default=128, help="width and height in pixels")
    wanted = options.parse_args()
    if wanted.requests <= WARM or wanted.switches <= WARM_SWITCHES:
        options.error(f"it takes more than {WARM} requests and {WARM_SWITCHES} switches to see growth")
    asyncio.run(measure(wanted))


if __name__ == "__main__":
    main()
