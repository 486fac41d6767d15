"""`underpaint demo`."""

from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import FakePainter, Outcome

Run = Callable[..., Outcome]


def test_the_demo_writes_every_picture_and_one_sheet(run: Run, folder: Path, painter: FakePainter) -> None:
    outcome = run("demo", "photo.jpg")

    assert outcome.code == 0
    assert outcome.output.splitlines() == ["out/", "out/sheet.jpg"]
    pictures = {path.name for path in (folder / "out").iterdir()}
    assert len(pictures) == 21
    assert {"sheet.jpg", "charcoal-0.3.png", "neon-0.9.png"} <= pictures
    assert {request["model"] for request in painter.requests} == {"underpaint:1@2"}


def test_the_demo_can_be_run_again(run: Run, painter: FakePainter) -> None:
    assert [run("demo", "photo.jpg").code, run("demo", "photo.jpg").code] == [0, 0]


def test_without_the_example_photo_the_demo_asks_for_one(run: Run, painter: FakePainter) -> None:
    outcome = run("demo")

    assert outcome.code == 2
    assert "underpaint demo PHOTO" in outcome.errors
