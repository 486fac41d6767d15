"""Official clients that connect, cancel, drop and resume at random: `python -m tests.soak --minutes 10`.

Ends with an error when a reply was lost, or memory or file descriptors grew.
"""

import argparse
import asyncio
import json
import re
import statistics
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.clients.environments import REPOSITORY, node_environment, python_environment
from tests.clients.official_clients import copy_beside_packages
from tests.fuzz.server import server_process
from tests.soak.cutting import cutting

CLIENTS = ("runware", "sdk-websocket", "sdk-rest", "runware", "sdk-websocket", "sdk-js")
ENVIRONMENTS = {"runware": "runware", "sdk-websocket": "runware-sdk", "sdk-rest": "runware-sdk"}
"""Of the clients in Python; the others are in JavaScript, and share one environment."""
SAMPLE_S = 2.0
GRACE_S = 400.0
"""After its time a client may still wait for its last calls."""
GROWTH_MIB = 24.0
GROWTH_FILES = 16


@dataclass
class Samples:
    """Memory in MiB and open files, of the server and of its engine, over time."""

    server_mib: list[float] = field(default_factory=list)
    engine_mib: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    async def take(self, process: psutil.Process) -> None:
        """Sample until cancelled."""
        while True:
            self.server_mib.append(process.memory_info().rss / 2**20)
            children = process.children(recursive=True)
            self.engine_mib.append(sum(child.memory_info().rss for child in children) / 2**20)
            self.files.append(process.num_fds())
            await asyncio.sleep(SAMPLE_S)


def growth(values: list[float] | list[int]) -> tuple[float, float]:
    """The median of the second quarter, when caches are filled, and that of the last one."""
    quarter = max(1, len(values) // 4)
    return statistics.median(values[quarter : 2 * quarter]), statistics.median(values[-quarter:])


async def _client(number: int, library: str, arguments: list[str], folder: Path) -> dict[str, Any]:
    scratch = folder / f"client-{number}"
    scratch.mkdir()
    process = await asyncio.create_subprocess_exec(
        *_program(library, scratch),
        library,
        *arguments,
        str(number),
        cwd=scratch,
        # The client that logs its exceptions logs each cut.
        env={"PATH": "/usr/bin:/bin", "NO_PROXY": "*", "HOME": str(scratch)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    try:
        report: dict[str, Any] = json.loads(output.decode().strip().splitlines()[-1])
    except (ValueError, IndexError):
        report = {"library": library, "outcomes": {}, "lost": [{"client": errors.decode()[-2000:]}]}
    return report


def _program(library: str, scratch: Path) -> list[str]:
    here = Path(__file__).parent
    if library in ENVIRONMENTS:
        return python_environment(ENVIRONMENTS[library]).command(here / "client.py")
    node = node_environment()
    return node.command(copy_beside_packages(here / "client.mjs", node, scratch))


async def soak(minutes: float, seed: int) -> dict[str, Any]:
    """Run all of it, and return the figures."""
    photo = REPOSITORY / "examples" / "photo.jpg"
    for name in set(ENVIRONMENTS.values()):
        await asyncio.to_thread(python_environment, name)
    await asyncio.to_thread(node_environment)
    with (
        tempfile.TemporaryDirectory() as name,
        server_process(
            ("underpaint", "serve"),
            Path(name) / "data",
            alias="runware:101@1=underpaint:1@2",
            # What is kept to be used again counts as memory.
            encodings_bytes=2**20,
            engine_stall_s=120,
        ) as server,
    ):
        samples = Samples()
        async with cutting(int(server.url.rpartition(":")[2]), seed) as cutter:
            sampling = asyncio.create_task(samples.take(psutil.Process(server.process.pid)))
            arguments = [cutter.url, server.url, str(photo), str(minutes * 60)]
            working = [
                asyncio.ensure_future(_client(number, library, arguments, Path(name)))
                for number, library in enumerate(CLIENTS, seed)
            ]
            reports = await asyncio.wait_for(asyncio.gather(*working), minutes * 60 + GRACE_S)
            sampling.cancel()
        metrics = await asyncio.to_thread(_metrics, server.url)
        failures = list(server.failures)
    outcomes: Counter[str] = Counter()
    for report in reports:
        outcomes.update(report["outcomes"])
    return {
        "minutes": minutes,
        "clients": len(CLIENTS),
        "connections": cutter.connections,
        "cuts": cutter.cuts,
        "outcomes": dict(sorted(outcomes.items())),
        "lost": [lost for report in reports for lost in report["lost"]],
        "server_mib": growth(samples.server_mib),
        "engine_mib": growth(samples.engine_mib),
        "files": growth(samples.files),
        "longest_pause_s": metrics["underpaint_event_loop_longest_pause_seconds"],
        "longest_own_pause_s": metrics["underpaint_event_loop_longest_own_pause_seconds"],
        "engine_restarts": metrics["underpaint_engine_restarts_total"],
        "failures": failures[:10],
    }


def _metrics(url: str) -> dict[str, float]:
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return {name: float(value) for name, value in re.findall(r"^(underpaint_\w+) (\S+)$", text, re.MULTILINE)}


def faults(figures: dict[str, Any]) -> list[str]:
    """What a soak must not show."""
    found = []
    if figures["lost"]:
        found.append(f"{len(figures['lost'])} replies were lost")
    for name, most in (("server_mib", GROWTH_MIB), ("engine_mib", GROWTH_MIB), ("files", GROWTH_FILES)):
        early, late = figures[name]
        if late - early > most:
            found.append(f"{name} grew from {early:.0f} to {late:.0f}")
    if figures["engine_restarts"] or figures["failures"]:
        found.append("the server or its engine failed")
    return found


def main() -> None:
    """Run it and print the figures."""
    reader = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    reader.add_argument("--minutes", type=float, default=10)
    reader.add_argument("--seed", type=int, default=1)
    options = reader.parse_args()
    began_s = time.monotonic()
    figures = asyncio.run(soak(options.minutes, options.seed))
    sys.stdout.write(json.dumps({**figures, "seconds": round(time.monotonic() - began_s)}, indent=2) + "\n")
    if found := faults(figures):
        sys.exit("; ".join(found))


if __name__ == "__main__":
    main()
