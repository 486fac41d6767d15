"""schemathesis, all phases, against the server's own OpenAPI document."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.server import ROOT, painting_server

EXCLUDED_CHECKS = (
    # The server reads more than its document says (nulls, 30.0, a task without its array, "jpg"), and a valid task of
    # an array succeeds beside one that is not: neither "what is wrong is refused" nor "what is right is accepted" can
    # be told from the status of a request. What each kind of wrong value leads to is in tests/wire.
    "negative_data_rejection",
    "positive_data_acceptance",
    # A cancelled task may be asked for and cancelled again, and the first answer of an array is not always of a task
    # that can be cancelled.
    "use_after_free",
    "ensure_resource_availability",
)


def run_schemathesis(max_examples: int, *, seed: int | None = None, short: bool = False) -> str:
    """Run it to its end, and return its report. The short form leaves out the second of the two places for tasks.

    Raises:
        AssertionError: it found a failure, or the server logged one. The message is the report.
    """
    with tempfile.TemporaryDirectory() as own, painting_server(Path(own) / "data") as server:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"),
            *("--phases", "examples,coverage,fuzzing,stateful", "--checks", "all"),
            *("--exclude-checks", ",".join(EXCLUDED_CHECKS), "--max-examples", str(max_examples)),
            *("--continue-on-failure", "--request-timeout", "30", "--suppress-health-check", "all"),
            *(("--seed", str(seed)) if seed is not None else ()),
            *(("--exclude-path", "/") if short else ()),
        ]
        finished = subprocess.run(
            command,
            cwd=own,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
                "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks",
                "NO_COLOR": "1",
                "COLUMNS": "140",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        failures = list(server.failures)
    assert finished.returncode == 0, finished.stdout
    assert not failures, "".join(failures)
    return finished.stdout
