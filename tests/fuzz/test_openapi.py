"""The server answers whatever schemathesis makes of its own OpenAPI document; the long form is a command."""

import re

import pytest

from tests.fuzz.openapi import run_schemathesis


@pytest.mark.timeout(600)
def test_schemathesis_finds_nothing() -> None:
    report = run_schemathesis(5, seed=20261125, short=True)
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert f"✅  {phase}" in report, report[-3000:]
    # All but what needs the other path for tasks.
    [(selected, total)] = re.findall(r"Operations: +(\d+) selected / (\d+) total", report)
    assert int(selected) == int(total) - 2
