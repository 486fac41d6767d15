"""`underpaint models`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest

from tests.catalog.weights import write_safetensors
from tests.cli.conftest import Outcome
from underpaint.catalog import download
from underpaint.embedded import checkpoint_dir

Run = Callable[..., Outcome]


@pytest.fixture
def checkpoint() -> str:
    return str(checkpoint_dir("1@2"))


def test_what_ships_with_the_package_is_always_there(run: Run) -> None:
    models = json.loads(run("models", "list", "--json").output)

    assert [(model["air"], model["problem"], model["only_for"]) for model in models] == [
        ("underpaint:1@2", None, None),
        ("underpaint:lora@1", None, "underpaint:1@2"),
        ("underpaint:ip@1", None, "underpaint:1@2"),
    ]


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
    lines = run("models", "show", "underpaint:1@2").output.splitlines()

    assert lines[0].split() == ["air", "underpaint:1@2"]
    assert any(line.startswith("default steps") for line in lines)


def test_aliases_are_listed(run: Run) -> None:
    outcome = run("models", "list", "--alias", "runware:101@1=underpaint:1@2")

    assert "runware:101@1" in outcome.output


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A hub whose every repository is the embedded model; holds the ids of those that were asked for."""
    asked: list[str] = []
    fetched = tmp_path / "fetched"

    def fetch(repository: str, name: str, **_: object) -> str:
        asked.append(repository)
        return str(checkpoint_dir("1@2") / name)

    def snapshot(_repository: str, **_: object) -> str:
        return str(shutil.copytree(checkpoint_dir("1@2"), fetched, dirs_exist_ok=True))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    monkeypatch.setattr(huggingface_hub, "list_repo_files", lambda _repository, **_: [])
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    monkeypatch.setattr(download, "is_offline", lambda: False)
    monkeypatch.setattr(download, "cached_folder", lambda _files: None)
    return asked


def test_a_model_is_pulled_and_then_on_the_list(run: Run, hub: list[str]) -> None:
    # Its architecture is known from the table, since the hub is not asked before the download.
    pulled = run("models", "pull", "civitai:25694@143906", "example/epicrealism")

    assert (pulled.code, hub) == (0, ["example/epicrealism"])
    assert "is here" in pulled.errors
    model = json.loads(run("models", "show", "civitai:25694@143906", "--json").output)
    assert (model["form"], model["location"]) == ("hub", "example/epicrealism")


def test_what_cannot_be_pulled_is_not_on_the_list(
    run: Run, hub: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> str:
        raise OSError("the hub cannot be reached")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    outcome = run("models", "pull", "civitai:25694@143906", "example/epicrealism")

    assert outcome.code == 1
    assert "the hub cannot be reached" in outcome.errors
    assert "civitai:25694@143906" not in run("models", "list").output


def test_a_model_that_nobody_knows_needs_a_repository(run: Run) -> None:
    outcome = run("models", "pull", "local:9@9")

    assert outcome.code == 1
    assert "models pull local:9@9 ID" in outcome.errors


def test_on_a_pipe_every_model_is_one_line(run: Run, checkpoint: str) -> None:
    name = "a name of so many words that no terminal of eighty columns has room for it"
    run("models", "add", "local:1010551280@128080", checkpoint, "--name", name)
    [line] = [
        line
        for line in run("models", "list").output.splitlines()
        if line.startswith("local:1010551280@128080 ")
    ]
    assert name in line
    assert line.split()[-3:] == ["sd1x", "checkpoint", "yes"]


def test_what_is_said_of_checkpoints_is_shown_of_no_other(run: Run, tmp_path: Path) -> None:
    file = write_safetensors(tmp_path / "toy.safetensors", {"emb_params": (2, 768)})
    run("models", "add", "test:7@1", str(file))
    shown = run("models", "show", "test:7@1").output
    assert "embeddings" in shown
    assert "default" not in shown
    assert "type" not in shown
