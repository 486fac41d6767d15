"""schemathesis, all phases, against the server's own OpenAPI document."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.server import ROOT, painting_server

CONFIGURATION = """
[checks]
# A link leads from the first answer of an array to its cancelling, and not every task can be cancelled: what was
# searched for, asked for or deleted is 404 there. That tasks which can be are found is in tests/server/test_http.py.
ensure_resource_availability.enabled = false

[[operations]]
include-operation-id = ["postTasks", "postTasksToRoot"]
# The server reads more than its document says (nulls, 30.0, a task without its array, "jpg"), and a valid task of an
# array succeeds beside one that is not: neither "what is wrong is refused" nor "what is right is accepted" can be told
# from the status of a request. `what_is_wrong_is_refused` of tests/fuzz/hooks.py tells the first from the answers of
# the tasks. The second depends on models and pictures that there are.
checks.negative_data_rejection.enabled = false
checks.positive_data_acceptance.enabled = false
"""
"""All checks are on but these."""


def run_schemathesis(max_examples: int, *, seed: int | None = None, short: bool = False) -> str:
    """Run it to its end, and return its report. The short form leaves out the second of the two places for tasks.

    Raises:
        AssertionError: it found a failure, or the server logged one. The message is the report.
    """
    with tempfile.TemporaryDirectory() as own, painting_server(Path(own) / "data") as server:
        configuration = Path(own) / "schemathesis.toml"
        configuration.write_text(CONFIGURATION, "utf-8")
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration)),
            *("run", f"{server.url}/openapi.json", "--max-examples", str(max_examples)),
            *("--phases", "examples,coverage,fuzzing,stateful"),
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
