"""`underpaint config show`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Outcome
from underpaint.settings import Settings

Run = Callable[..., Outcome]


def test_every_setting_is_shown_with_its_origin(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "underpaint.toml").write_text("queue_limit = 5\n")
    monkeypatch.setenv("UNDERPAINT_THREADS", "3")

    shown = json.loads(run("config", "show", "--json", "--port", "9000", "--alias", "a:1@1=b:1@1").output)

    assert shown.keys() == Settings.model_fields.keys()
    assert shown["queue_limit"] == {"value": 5, "origin": "file"}
    assert shown["threads"] == {"value": 3, "origin": "environment"}
    assert shown["port"] == {"value": 9000, "origin": "command line"}
    assert shown["alias"] == {"value": {"a:1@1": "b:1@1"}, "origin": "command line"}
    assert shown["host"] == {"value": "127.0.0.1", "origin": "default"}


def test_the_table_shows_the_same(run: Run) -> None:
    lines = run("config", "show", "--alias", "a:1@1=b:1@1", "--alias", "c:1@1=b:1@1").output.splitlines()

    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert rows["port"] == ["8080", "default"]
    assert rows["alias"] == ["a:1@1=b:1@1,c:1@1=b:1@1", "command", "line"]
    assert rows["threads"] == ["-", "default"]


@pytest.mark.parametrize(
    ("option", "value"), [("--embed-parameters", True), ("--no-embed-parameters", False)]
)
def test_switches_have_an_on_and_an_off(run: Run, option: str, value: bool) -> None:
    shown = json.loads(run("config", "show", "--json", option).output)

    assert shown["embed_parameters"] == {"value": value, "origin": "command line"}
