"""A command line without an engine: what it asks of the library is recorded, and pictures come back at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest
from PIL import Image

from underpaint import Progress, Transformed
from underpaint.cli import main
from underpaint.settings import Settings


@dataclass
class Outcome:
    """What a command left behind."""

    code: int
    output: str
    errors: str


@dataclass
class FakePainter:
    """Stands in for `underpaint.Painter`, and is its own class and instance."""

    requests: list[Mapping[str, Any]] = field(default_factory=list)
    failure: BaseException | None = None

    settings: Settings = field(default_factory=Settings)

    def __call__(self, settings: Settings) -> Self:
        self.settings = settings
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def transform_many(
        self, requests: Sequence[Mapping[str, Any]], *, on_progress: Callable[[Progress], None]
    ) -> list[list[Transformed]]:
        self.requests.extend(requests)
        if self.failure:
            raise self.failure
        on_progress(Progress(result=0, step=0, steps=4, stage="loading"))
        for position in range(len(requests)):
            on_progress(Progress(result=position, step=4, steps=4, stage="running"))
        return [
            [
                Transformed(
                    image=Image.new("RGB", (64, 64), "teal"),
                    seed=request["seed"],
                    steps=8,
                    effective_steps=4,
                    strength=_strength(request),
                    parameters={"positivePrompt": request["prompt"], "seed": request["seed"]},
                    embed_parameters=self.settings.embed_parameters,
                )
            ]
            for request in requests
        ]


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch) -> FakePainter:
    fake = FakePainter()
    monkeypatch.setattr("underpaint.library.Painter", fake)
    return fake


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty but for a photo."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (90, 60), "orange").save(tmp_path / "photo.jpg")
    return tmp_path


@pytest.fixture
def run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Calls the command line: `run("keys", "list")`."""
    monkeypatch.setenv("UNDERPAINT_DATA_DIR", str(folder / "data"))

    def call(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Outcome(code=code, output=captured.out, errors=captured.err)

    return call


def _strength(request: Mapping[str, Any]) -> float | None:
    if request["photo"] is None:
        return None
    return 0.5 if request["strength"] is None else float(request["strength"])
