"""`underpaint doctor`."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]


def _states(outcome: Outcome) -> dict[str, set[str]]:
    states: dict[str, set[str]] = {}
    for finding in json.loads(outcome.output):
        states.setdefault(finding["name"], set()).add(finding["state"])
    return states


def test_a_healthy_machine_has_no_problem(run: Run) -> None:
    outcome = run("doctor", "--json", "--device", "cpu")

    assert outcome.code == 0
    states = _states(outcome)
    assert states.keys() == {"versions", "device", "memory", "data", "database", "models", "access"}
    assert not any("problem" in found for found in states.values())


def test_a_problem_is_exit_code_1_and_hides_no_other_finding(run: Run, folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "underpaint.db").write_bytes(b"this is no database" * 100)

    outcome = run("doctor", "--json", "--device", "cpu")

    assert outcome.code == 1
    states = _states(outcome)
    assert states["database"] == {"problem"}
    assert states["models"] == {"ok"}


def test_a_default_model_that_is_not_here_is_a_problem(run: Run) -> None:
    outcome = run("doctor", "--default-model", "runware:101@1", "--device", "cpu")

    assert outcome.code == 1
    assert "underpaint models add runware:101@1" in outcome.output


def test_a_data_folder_that_is_a_file_is_a_problem(run: Run, folder: Path) -> None:
    assert run("doctor", "--data-dir", str(folder / "photo.jpg"), "--device", "cpu").code == 1


def test_an_open_address_without_a_key_is_worth_a_note(run: Run) -> None:
    assert _states(run("doctor", "--json", "--host", "0.0.0.0", "--device", "cpu"))["access"] == {"note"}

    run("keys", "add", "laptop")
    assert _states(run("doctor", "--json", "--host", "0.0.0.0", "--device", "cpu"))["access"] == {"ok"}
