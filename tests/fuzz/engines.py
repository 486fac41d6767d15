"""What feeds the parsers: hypothesis, which knows the seeds, and atheris, which also sees what code they reach."""

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from hypothesis import HealthCheck, Phase, given, settings

from tests.fuzz.parsers import PARSERS, inputs

Engine = Literal["atheris", "hypothesis"]
ROOT = Path(__file__).parents[2]


def best_engine() -> Engine:
    """atheris has wheels for some platforms and Python versions only."""
    return "atheris" if importlib.util.find_spec("atheris") else "hypothesis"


def run_hypothesis(name: str, count: int, *, derandomize: bool = False) -> int:
    """Feed a parser `count` inputs. Returns how many it got. Raises what the parser raises."""
    parser = PARSERS[name]
    fed = 0

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=derandomize,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=inputs(parser))
    def feed(data: bytes) -> None:
        nonlocal fed
        fed += 1
        parser.parse(data)

    feed()
    return fed


def run_atheris(name: str, count: int) -> str:
    """Feed a parser `count` inputs in a process of its own. Returns the last line of atheris' report.

    Raises:
        RuntimeError: the parser raised, or took more than ten seconds for one input. The message is the report.
    """
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(PARSERS[name].seeds):
            (Path(folder) / str(number)).write_bytes(seed)
        finished = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.engines", name, folder),
                *(f"-atheris_runs={count}", "-max_len=4096", "-timeout=10", "-rss_limit_mb=4096"),
                f"-artifact_prefix={folder}/",
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    if finished.returncode != 0:
        raise RuntimeError(finished.stdout[-6000:])
    return finished.stdout.strip().splitlines()[-1]


def _child(name: str, arguments: list[str]) -> None:
    import atheris

    for module in [module for module in sys.modules if module.startswith("underpaint")]:
        del sys.modules[module]
    del sys.modules["tests.fuzz.parsers"]
    with atheris.instrument_imports(include=["underpaint.images", "underpaint.catalog", "underpaint.wire"]):
        from tests.fuzz.parsers import PARSERS as instrumented
    atheris.Setup([sys.argv[0], *arguments], instrumented[name].parse)
    atheris.Fuzz()


if __name__ == "__main__":
    _child(sys.argv[1], sys.argv[2:])
