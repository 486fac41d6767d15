"""A job that is interrupted goes on from its last checkpoint, and its picture is the same to the byte."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from tests.checkpoints import photo_like
from tests.engine.driving import Driven, job_request
from underpaint.diffusion.family import Row
from underpaint.diffusion.stable_diffusion import StableDiffusion
from underpaint.engine import checkpoints
from underpaint.engine.checkpoint_files import checkpoint_path
from underpaint.engine.messages import JobRequest, Pass, Picture

NAME = "name"


@pytest.fixture
def forwards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of every forward pass that was run."""
    counted: list[int] = []
    predict = StableDiffusion.predict

    def counting(model: StableDiffusion, rows: Sequence[Row]) -> Tensor:
        counted.append(len(rows))
        return predict(model, rows)

    monkeypatch.setattr(StableDiffusion, "predict", counting)
    return counted


def driven(folder: Path, **options: Any) -> Driven:
    return Driven(checkpoints=folder, checkpoint_interval_s=0.0, strict_rows=4, **options)


def interrupted(folder: Path, request: JobRequest, *, after: int) -> None:
    """Run so many passes, and let the disk have what it is to have."""
    begun = driven(folder)
    begun.engine.submit([request])
    begun.run_passes(after)
    begun.engine._checkpoints.close()


def a_pass(scheduler: str) -> Pass:
    return Pass(
        prompt="a blue house",
        negative_prompt="people",
        steps=4,
        guidance_scale=2.0,
        scheduler=scheduler,
        strength=0.5,
    )


def jobs(model: Path, photo: Picture) -> dict[str, JobRequest]:
    half = np.zeros((64, 64), np.uint8)
    half[:, 32:] = 255
    usual = {
        "picture": photo,
        "strength": 1.0,
        "steps": 4,
        "guidance_scale": 3.0,
        "seed": 3,
        "checkpoint": NAME,
    }
    different: dict[str, dict[str, Any]] = {
        "multistep": {"scheduler": "DPM++ 2M Karras"},
        "ancestral": {"scheduler": "Euler a"},
        "second order": {"scheduler": "Heun"},
        "brownian": {"scheduler": "DPM++ SDE"},
        "masked": {"scheduler": "Euler a", "mask": half, "strength": 0.9},
        "masked passes": {
            "mask": half,
            "strength": 0.5,
            "further_passes": (a_pass("Heun"), a_pass("Euler a")),
        },
        "passes from text": {"picture": None, "further_passes": (a_pass("Euler a"),)},
        "from text": {"scheduler": "UniPC", "picture": None, "guidance_scale": 1.0},
    }
    return {name: job_request(name, model, **{**usual, **more}) for name, more in different.items()}


@pytest.mark.parametrize(
    "kind",
    [
        "multistep",
        "ancestral",
        "second order",
        "brownian",
        "masked",
        "masked passes",
        "passes from text",
        "from text",
    ],
)
def test_a_picture_is_the_same_wherever_its_engine_was_killed(
    sd1_checkpoint: Path, photo: Picture, tmp_path: Path, kind: str, forwards: list[int]
) -> None:
    request = jobs(sd1_checkpoint, photo)[kind]
    whole = driven(tmp_path / "none")
    whole.finish(replace(request, checkpoint=None))
    total = len(forwards)
    # After the last, its picture is still to be decoded.
    for passes in range(1, total + 1):
        interrupted(tmp_path / str(passes), request, after=passes)
        forwards.clear()
        second = driven(tmp_path / str(passes))
        second.finish(replace(request, job_id="again", owner="someone", previews=True))
        assert len(forwards) == total - passes
        assert second.picture("again").tobytes() == whole.picture(kind).tobytes(), passes
        assert second.progress("again")[0].stage == "loading"
        done = [report.step for report in second.progress("again")]
        assert done == sorted(done)
        assert done[-1] == whole.progress(kind)[-1].step


def test_the_last_state_is_kept_when_the_engine_is_told_to_leave(
    sd1_checkpoint: Path, photo: Picture, tmp_path: Path, forwards: list[int]
) -> None:
    request = jobs(sd1_checkpoint, photo)["multistep"]
    first = Driven(checkpoints=tmp_path, checkpoint_interval_s=3600.0)
    first.engine.submit([request])
    first.run_passes(2)
    assert not list(tmp_path.iterdir()), "it was not yet time"
    first.engine.close()
    forwards.clear()
    Driven(checkpoints=tmp_path).finish(request)
    assert len(forwards) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 4},
        {"prompt": "another"},
        {"guidance_scale": 3.5},
        {"strength": 0.9},
        {"picture": np.full((64, 64, 3), 9, np.uint8)},
        {"scheduler": "DPM++ 2M"},
        {"mask": np.full((64, 64), 255, np.uint8)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_checkpoint_of_another_request_is_not_used(
    sd1_checkpoint: Path, photo: Picture, tmp_path: Path, other: dict[str, Any], forwards: list[int]
) -> None:
    request = jobs(sd1_checkpoint, photo)["multistep"]
    interrupted(tmp_path, request, after=2)
    forwards.clear()
    driven(tmp_path).finish(replace(request, **other))
    assert len(forwards) == 4


def test_a_checkpoint_of_another_version_model_or_mode_is_not_used(
    sd1_checkpoint: Path, photo: Picture, tmp_path: Path, forwards: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = jobs(sd1_checkpoint, photo)["multistep"]
    interrupted(tmp_path, request, after=2)
    kept = checkpoint_path(tmp_path, NAME).read_bytes()

    def passes(**options: Any) -> int:
        checkpoint_path(tmp_path, NAME).write_bytes(kept)
        forwards.clear()
        Driven(checkpoints=tmp_path, **{"strict_rows": 4, **options}).finish(request)
        return len(forwards)

    assert passes() == 2
    assert passes(strict_rows=2) == 4
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "__version__", "0.0.0")
        assert passes() == 4
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "stamps", lambda location: ["the files were replaced"])
        assert passes() == 4
    assert passes() == 2


@pytest.mark.parametrize("damage", ["cut off", "changed", "empty", "of other names"])
def test_a_damaged_checkpoint_is_not_used(
    sd1_checkpoint: Path, photo: Picture, tmp_path: Path, damage: str, forwards: list[int]
) -> None:
    request = jobs(sd1_checkpoint, photo)["multistep"]
    interrupted(tmp_path, request, after=2)
    path = checkpoint_path(tmp_path, NAME)
    data = path.read_bytes()
    match damage:
        case "cut off":
            path.write_bytes(data[: len(data) // 2])
        case "changed":
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        case "empty":
            path.write_bytes(b"")
        case _:
            reader = driven(tmp_path).engine._checkpoints
            reader.keep(request, {"sampler": {}, "latents": 1})
            reader.close()
    forwards.clear()
    whole, again = driven(tmp_path / "none"), driven(tmp_path)
    whole.finish(replace(request, checkpoint=None))
    again.finish(request)
    assert len(forwards) == 4 + 4
    assert again.picture(request.job_id).tobytes() == whole.picture(request.job_id).tobytes()


def test_nothing_is_written_of_a_job_once_its_end_was_told(
    sd1_checkpoint: Path, photo: Picture, tmp_path: Path
) -> None:
    request = jobs(sd1_checkpoint, photo)["multistep"]
    for ending in ("finished", "cancelled"):
        first = driven(tmp_path)
        engine = first.engine
        engine.submit([request])
        first.run_passes(4 if ending == "finished" else 3)
        if ending == "finished":
            engine.tick()
        engine.cancel([request.job_id])
        assert not engine.busy
        # What the server does when it is told.
        checkpoint_path(tmp_path, NAME).unlink(missing_ok=True)
        engine.close()
        assert not list(tmp_path.iterdir()), ending


def test_a_disk_that_is_full_costs_the_checkpoint_and_not_the_picture(
    sd1_checkpoint: Path, photo: Picture, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    request = jobs(sd1_checkpoint, photo)["multistep"]
    (tmp_path / "file").touch()
    full = driven(tmp_path / "file")
    full.finish(request)
    full.engine.close()
    assert full.finished(request.job_id).steps_run == 4
    assert caplog.text.count("checkpoints cannot be written") == 1


@pytest.mark.parametrize("after", [1, 9, 13])
@pytest.mark.parametrize("scheduler", ["Euler a", "Heun"])
def test_a_picture_in_tiles_is_the_same_when_it_is_interrupted_between_two(
    sd1_checkpoint: Path, tmp_path: Path, scheduler: str, after: int
) -> None:
    """Tiles of the evaluation that was under way are done again."""
    request = job_request(
        "tiled",
        sd1_checkpoint,
        picture=photo_like(160, 128),
        width_px=160,
        height_px=128,
        tile_px=64,
        strength=0.5,
        scheduler=scheduler,
        checkpoint=NAME,
    )
    whole = driven(tmp_path / "none")
    whole.finish(replace(request, checkpoint=None))
    interrupted(tmp_path / "some", request, after=after)
    resumed = driven(tmp_path / "some")
    resumed.finish(request)
    assert np.array_equal(resumed.picture("tiled"), whole.picture("tiled"))


@pytest.mark.parametrize("after", [1, 3])
def test_a_model_that_sees_the_mask_goes_on_seeing_it(
    make_checkpoint: Callable[..., Path], photo: Picture, tmp_path: Path, after: int
) -> None:
    folder = make_checkpoint(in_channels=9)
    request = replace(jobs(folder, photo)["masked passes"])
    whole = driven(tmp_path / "none")
    whole.finish(replace(request, checkpoint=None))
    interrupted(tmp_path / "some", request, after=after)
    resumed = driven(tmp_path / "some")
    resumed.finish(request)
    assert np.array_equal(resumed.picture("masked passes"), whole.picture("masked passes"))
