"""`underpaint models`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Outcome
from underpaint.embedded import checkpoint_dir

Run = Callable[..., Outcome]


@pytest.fixture
def checkpoint() -> str:
    return str(checkpoint_dir("1@1"))


def test_the_embedded_model_is_always_there(run: Run) -> None:
    [model] = json.loads(run("models", "list", "--json").output)

    assert (model["air"], model["problem"]) == ("underpaint:1@1", None)


def test_a_model_is_added_shown_and_removed(run: Run, checkpoint: str) -> None:
    added = run(
        "models",
        "add",
        "local:7@1",
        checkpoint,
        "--name",
        "Mine",
        "--steps",
        "30",
        "--tag",
        "a",
        "--tag",
        "b",
    )
    assert (added.code, added.output) == (0, "")

    assert "local:7@1" in run("models", "list").output
    model = json.loads(run("models", "show", "local:7@1", "--json").output)
    assert (model["name"], model["form"], model["location"]) == ("Mine", "folder", checkpoint)
    assert (model["defaults"]["steps"], model["tags"]) == (30, ["a", "b"])

    assert run("models", "remove", "local:7@1").code == 0
    assert "local:7@1" not in run("models", "list").output
    assert Path(checkpoint).is_dir()


def test_a_model_is_replaced_only_when_that_is_said(run: Run, checkpoint: str) -> None:
    run("models", "add", "local:7@1", checkpoint)

    assert run("models", "add", "local:7@1", checkpoint).code == 1
    assert run("models", "add", "local:7@1", checkpoint, "--force").code == 0


def test_what_is_no_model_is_refused(run: Run, folder: Path) -> None:
    outcome = run("models", "add", "local:7@1", str(folder / "photo.jpg"))

    assert outcome.code == 1
    assert outcome.errors.startswith("error: ")


def test_a_known_model_that_is_not_here_comes_with_its_installation(run: Run) -> None:
    outcome = run("models", "show", "runware:101@1")

    assert outcome.code == 1
    assert "underpaint models add runware:101@1 black-forest-labs/FLUX.1-dev" in outcome.errors


def test_a_model_is_shown_line_by_line(run: Run) -> None:
    lines = run("models", "show", "underpaint:1@1").output.splitlines()

    assert lines[0].split() == ["air", "underpaint:1@1"]
    assert any(line.startswith("default steps") for line in lines)


def test_aliases_are_listed(run: Run) -> None:
    outcome = run("models", "list", "--alias", "runware:101@1=underpaint:1@1")

    assert "runware:101@1" in outcome.output
