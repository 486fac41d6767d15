"""The long forms: `python -m tests.fuzz [TARGET ...] --inputs 100000`."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.engines import best_engine, run_atheris, run_hypothesis
from tests.fuzz.frames import fuzz_frames
from tests.fuzz.openapi import run_schemathesis
from tests.fuzz.parsers import PARSERS
from tests.fuzz.server import painting_server


def main() -> None:
    """Run what is named, one after the other; end with an error where one finds something."""
    reader = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    reader.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; by default the parsers"
    )
    reader.add_argument(
        "--inputs", type=int, default=100_000, help="inputs, messages, or examples of each operation"
    )
    reader.add_argument("--engine", choices=("atheris", "hypothesis"), default=best_engine())
    options = reader.parse_args()
    for name in options.targets or list(PARSERS):
        if name not in TARGETS:
            reader.error(f"there is no target {name!r}; there are {', '.join(TARGETS)}")
    for name in options.targets or list(PARSERS):
        began_s = time.monotonic()
        report = _run(name, options.inputs, options.engine)
        sys.stdout.write(f"{name}: nothing found, {report}, {time.monotonic() - began_s:.0f} s\n")
        sys.stdout.flush()


TARGETS = (*PARSERS, "frames", "openapi")


def _run(name: str, count: int, engine: str) -> str:
    if name == "openapi":
        report = run_schemathesis(count)
        generated = next(line.strip() for line in report.splitlines() if "generated" in line)
        return f"{count} examples of each operation ({generated})"
    if name == "frames":
        with tempfile.TemporaryDirectory() as folder, painting_server(Path(folder)) as server:
            fuzz_frames(server.websocket_url, count)
            if server.failures:
                sys.exit("".join(server.failures))
        return f"{count} messages"
    if engine == "hypothesis":
        return f"{run_hypothesis(name, count)} inputs by hypothesis"
    return f"{run_atheris(name, count)} by atheris"


if __name__ == "__main__":
    main()
