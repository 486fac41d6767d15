import shutil
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from underpaint.diffusion.family import Row
from underpaint.diffusion.stable_diffusion import StableDiffusion
from underpaint.engine.engine import Engine
from underpaint.engine.job import Job
from underpaint.engine.messages import (
    EngineOptions,
    Failed,
    ModelReference,
    Picture,
    Progress,
    RequestPart,
)
from underpaint.engine.weights import weights_bytes

from .driving import Driven, job_request, worst_difference

Predict = Callable[[StableDiffusion, Sequence[Row]], Tensor]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Locations in the order in which they are loaded."""
    seen: list[Path] = []
    load = StableDiffusion.load

    def counting(location: Path, **options: Any) -> StableDiffusion:
        seen.append(location)
        return load(location, **options)

    monkeypatch.setattr(StableDiffusion, "load", counting)
    return seen


@pytest.fixture
def replace_predict(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Predict], Predict]], None]:
    """Put something around the forward pass."""

    def replace(around: Callable[[Predict], Predict]) -> None:
        monkeypatch.setattr(StableDiffusion, "predict", around(StableDiffusion.predict))

    return replace


def test_strength_0_gives_the_picture_back_without_a_model(tmp_path: Path, photo: Picture) -> None:
    driven = Driven()
    driven.finish(job_request("still", tmp_path / "no model here", picture=photo, strength=0.0))
    assert driven.picture("still").tobytes() == photo.tobytes()
    assert driven.finished("still").steps_run == 0


def test_a_tiny_strength_runs_one_step(sd1_checkpoint: Path, photo: Picture) -> None:
    driven = Driven()
    driven.finish(job_request("hardly", sd1_checkpoint, picture=photo, strength=0.001, steps=50))
    assert driven.finished("hardly").steps_run == 1
    assert driven.picture("hardly").shape == photo.shape


@pytest.mark.parametrize("scheduler", ["DDIM", "Heun", "PNDMScheduler"])
@pytest.mark.parametrize(("strength", "runs"), [(None, 6), (0.5, 3)])
def test_progress_counts_up_to_the_number_of_steps(
    sd1_checkpoint: Path, photo: Picture, scheduler: str, strength: float | None, runs: int
) -> None:
    driven = Driven()
    wishes = {} if strength is None else {"picture": photo, "strength": strength}
    driven.finish(job_request("one", sd1_checkpoint, steps=6, scheduler=scheduler, **wishes))
    reports = driven.progress("one")
    assert reports[0] == Progress(job_id="one", stage="loading", step=0, steps=runs)
    assert {report.stage for report in reports[1:]} == {"running"}
    assert {report.steps for report in reports} == {runs}
    assert sorted(report.step for report in reports) == [report.step for report in reports]
    assert {report.step for report in reports} == set(range(runs + 1))
    assert driven.events.index(reports[-1]) < driven.events.index(driven.finished("one"))
    assert driven.finished("one").steps_run == runs


def test_a_cancelled_job_ends_and_the_others_go_on(sd1_checkpoint: Path) -> None:
    driven = Driven()
    driven.engine.submit([job_request("given up", sd1_checkpoint), job_request("kept", sd1_checkpoint)])
    driven.run_passes(1)
    driven.engine.cancel(["given up", "unknown"])
    while driven.engine.busy:
        driven.engine.tick()
    assert driven.failed("given up").code == "cancelled"
    assert driven.finished("kept").steps_run == 4
    assert driven.engine.passes == 4
    driven.engine.cancel(["given up", "kept"])
    assert len([event for event in driven.events if isinstance(event, Failed)]) == 1


def test_cancelling_frees_the_engine_within_one_forward_and_leaves_a_neighbour_its_picture(
    sd1_checkpoint: Path, photo: Picture
) -> None:
    kept = job_request("kept", sd1_checkpoint, steps=20, picture=photo, strength=0.9)
    given_up = job_request("given up", sd1_checkpoint, steps=50, seed=2)
    alone, driven = Driven(), Driven()
    alone.finish(kept)
    assert driven.finish_beside_a_cancelled_job(kept, given_up, after=7) == 18 - 7
    assert driven.progress("given up")[-1].step == 7
    assert worst_difference(driven.picture("kept"), alone.picture("kept")) <= 1
    # With nothing beside it, there is nothing left to do at once.
    driven.engine.submit([replace(given_up, job_id="only")])
    driven.run_passes(1)
    driven.engine.cancel(["only"])
    assert not driven.engine.busy


def test_a_broken_model_fails_its_own_jobs_only(sd1_checkpoint: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(sd1_checkpoint, tmp_path / "broken"))
    (broken / "unet/diffusion_pytorch_model.safetensors").write_bytes(b"\0" * 100)
    driven = Driven()
    driven.finish(job_request("unlucky", broken, steps=1), job_request("lucky", sd1_checkpoint))
    failed = driven.failed("unlucky")
    assert failed.code == "modelLoad"
    assert failed.part == RequestPart("model")
    assert failed.message.startswith("broken cannot be loaded: ")
    driven.finished("lucky")


def test_values_that_are_not_numbers_fail_the_job_and_say_so(
    sd1_checkpoint: Path, replace_predict: Any
) -> None:
    def around(predict: Predict) -> Predict:
        def overflowing(model: StableDiffusion, rows: Sequence[Row]) -> Tensor:
            predicted = predict(model, rows).clone()
            for index, row in enumerate(rows):
                if row.guidance_scale == 3.0:
                    predicted[index] = torch.nan
            return predicted

        return overflowing

    replace_predict(around)
    driven = Driven()
    driven.finish(
        job_request("not numbers", sd1_checkpoint, guidance_scale=3.0), job_request("numbers", sd1_checkpoint)
    )
    failed = driven.failed("not numbers")
    assert failed.code == "failed"
    assert "not numbers" in failed.message
    driven.finished("numbers")


def test_of_jobs_in_one_pass_only_the_one_that_breaks_it_fails(
    sd1_checkpoint: Path, replace_predict: Any
) -> None:
    def around(predict: Predict) -> Predict:
        def refusing(model: StableDiffusion, rows: Sequence[Row]) -> Tensor:
            if any(row.guidance_scale == 3.0 for row in rows):
                raise RuntimeError("the device does not like this row")
            return predict(model, rows)

        return refusing

    alone = Driven()
    alone.finish(job_request("first", sd1_checkpoint))
    replace_predict(around)
    driven = Driven()
    driven.finish(
        job_request("first", sd1_checkpoint),
        job_request("culprit", sd1_checkpoint, guidance_scale=3.0),
        job_request("last", sd1_checkpoint, seed=2),
    )
    failed = driven.failed("culprit")
    assert failed.code == "failed"
    assert "the device does not like this row" in failed.message
    assert worst_difference(driven.picture("first"), alone.picture("first")) <= 1
    driven.finished("last")


def test_a_batch_that_does_not_fit_into_memory_runs_in_parts(
    sd1_checkpoint: Path, replace_predict: Any
) -> None:
    def around(predict: Predict) -> Predict:
        def with_little_memory(model: StableDiffusion, rows: Sequence[Row]) -> Tensor:
            if len(rows) > 2:
                raise torch.OutOfMemoryError("tried to allocate more than there is")
            return predict(model, rows)

        return with_little_memory

    replace_predict(around)
    driven = Driven()
    driven.finish(*(job_request(str(seed), sd1_checkpoint, seed=seed) for seed in range(3)))
    assert [driven.finished(str(seed)).steps_run for seed in range(3)] == [4, 4, 4]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("cuda"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_a_job_that_alone_is_too_much_fails_with_a_word_about_memory(
    sd1_checkpoint: Path, replace_predict: Any, error: Exception
) -> None:
    def around(predict: Predict) -> Predict:
        def without_memory(model: StableDiffusion, rows: Sequence[Row]) -> Tensor:
            raise error

        return without_memory

    driven = Driven()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StableDiffusion, "predict", around(StableDiffusion.predict))
        driven.finish(job_request("too large", sd1_checkpoint))
    assert driven.failed("too large").code == "outOfMemory"
    assert "memory" in driven.failed("too large").message
    driven.finish(job_request("next", sd1_checkpoint))
    driven.finished("next")


def test_a_picture_whose_sides_do_not_fit_the_model_fails_alone(sd1_checkpoint: Path) -> None:
    driven = Driven()
    driven.finish(
        job_request("fits", sd1_checkpoint), job_request("too small", sd1_checkpoint, width_px=4, height_px=4)
    )
    assert driven.failed("too small").code == "failed"
    driven.finished("fits")


def test_models_beyond_the_limit_are_dropped_the_longest_unused_first(
    sd1_checkpoint: Path, sd2_checkpoint: Path, tmp_path: Path, loads: list[Path]
) -> None:
    third = Path(shutil.copytree(sd1_checkpoint, tmp_path / "third"))
    two = weights_bytes(sd1_checkpoint, torch.float32) + weights_bytes(sd2_checkpoint, torch.float32)
    driven = Driven(models_bytes=two)
    order = [sd1_checkpoint, sd2_checkpoint, sd1_checkpoint, third, sd1_checkpoint, sd2_checkpoint]
    for number, folder in enumerate(order):
        driven.finish(job_request(str(number), folder, steps=1))
        driven.finished(str(number))
    assert loads == [sd1_checkpoint, sd2_checkpoint, third, sd2_checkpoint]


def test_three_models_at_once_all_finish_where_one_fits(
    sd1_checkpoint: Path, sd2_checkpoint: Path, tmp_path: Path, loads: list[Path]
) -> None:
    third = Path(shutil.copytree(sd1_checkpoint, tmp_path / "third"))
    folders = [sd1_checkpoint, sd2_checkpoint, third] * 2
    driven = Driven(models_bytes=0)
    driven.finish(*(job_request(str(number), folder) for number, folder in enumerate(folders)))
    for number in range(len(folders)):
        driven.finished(str(number))
    assert sorted(loads) == sorted({*folders})


def test_a_model_is_gone_before_the_next_is_loaded(
    sd1_checkpoint: Path, sd2_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[weakref.ref[StableDiffusion]] = []
    others_at_load: list[int] = []
    load = StableDiffusion.load

    def watching(location: Path, **options: Any) -> StableDiffusion:
        others_at_load.append(sum(model() is not None for model in alive))
        model = load(location, **options)
        alive.append(weakref.ref(model))
        return model

    monkeypatch.setattr(StableDiffusion, "load", watching)
    driven = Driven(models_bytes=0)
    for number in range(4):
        driven.finish(job_request(str(number), (sd1_checkpoint, sd2_checkpoint)[number % 2], steps=1))
        driven.finished(str(number))
    assert others_at_load == [0, 0, 0, 0]


def test_a_model_to_preload_is_there_before_the_first_job(sd1_checkpoint: Path, loads: list[Path]) -> None:
    reference = ModelReference(architecture="sd1x", location=sd1_checkpoint)
    driven = Driven(preload=reference)
    assert loads == [sd1_checkpoint]
    driven.finish(job_request("job", sd1_checkpoint))
    assert "loading" not in {report.stage for report in driven.progress("job")}


def test_a_model_that_cannot_be_preloaded_holds_nothing_up(sd1_checkpoint: Path, tmp_path: Path) -> None:
    driven = Driven(preload=ModelReference(architecture="sd1x", location=tmp_path / "missing"))
    driven.finish(job_request("job", sd1_checkpoint))
    driven.finished("job")


def test_a_short_job_overtakes_a_long_one(sd1_checkpoint: Path) -> None:
    driven = Driven(max_rows=2)
    driven.engine.submit([job_request("long", sd1_checkpoint, steps=30)])
    driven.run_passes(3)
    driven.finish(job_request("short", sd1_checkpoint, steps=2))
    assert driven.ended == ["short", "long"]


def test_a_short_job_goes_before_long_ones_that_begin_together(
    sd1_checkpoint: Path, photo: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them is encoded when it comes, and the others wait with that until it is done."""
    begun: list[str] = []
    prepare = Engine._prepare

    def noting(engine: Engine, job: Job) -> None:
        begun.append(job.request.job_id)
        prepare(engine, job)

    monkeypatch.setattr(Engine, "_prepare", noting)
    driven = Driven(max_rows=6)
    long = [job_request(f"long {number}", sd1_checkpoint, steps=30, picture=photo) for number in range(3)]
    driven.engine.submit(long)
    driven.engine.tick()
    assert begun == ["long 0"]
    assert not driven.engine.passes
    driven.finish(job_request("short", sd1_checkpoint, steps=2, width_px=96, height_px=48))
    assert begun == ["long 0", "short", "long 1", "long 2"]


def test_a_short_job_goes_before_the_decoding_of_long_ones(sd1_checkpoint: Path) -> None:
    """Their passes are all behind them, and one is decoded when it comes."""
    driven = Driven(max_rows=4)
    long = [job_request(f"long {number}", sd1_checkpoint, steps=30, seed=number) for number in range(2)]
    driven.engine.submit(long)
    driven.run_passes(30)
    assert not driven.ended
    driven.engine.tick()
    assert driven.ended == ["long 0"]
    driven.finish(job_request("short", sd1_checkpoint, steps=2, width_px=96, height_px=48))
    assert driven.ended == ["long 0", "short", "long 1"]


def test_a_model_that_was_dropped_before_a_picture_was_decoded_is_loaded_again(
    sd1_checkpoint: Path, sd2_checkpoint: Path
) -> None:
    driven, undisturbed = Driven(models_bytes=0), Driven()
    job = job_request("job", sd1_checkpoint)
    undisturbed.finish(job)
    driven.engine.submit([job])
    driven.run_passes(4)
    driven.engine.model(job_request("any", sd2_checkpoint).model)
    assert job.model not in driven.engine._models
    driven.engine.tick()
    assert driven.picture("job").tobytes() == undisturbed.picture("job").tobytes()


def test_an_engine_without_jobs_has_nothing_to_do() -> None:
    engine = Engine(EngineOptions(device="cpu"), emit=lambda _: None)
    assert not engine.busy
    engine.tick()
    assert not engine.busy


def test_a_long_prompt_beside_a_short_negative_one_and_the_other_way_round(sd1_checkpoint: Path) -> None:
    driven = Driven()
    long = "a house in the snow by the sea, " * 40
    driven.finish(
        job_request("both short", sd1_checkpoint),
        job_request("long prompt", sd1_checkpoint, prompt=long),
        job_request("long negative", sd1_checkpoint, negative_prompt=long),
        job_request("longer negative", sd1_checkpoint, negative_prompt=long + "two blue dogs"),
    )
    pictures = [
        driven.picture(name) for name in ("both short", "long prompt", "long negative", "longer negative")
    ]
    for index, one in enumerate(pictures):
        for other in pictures[index + 1 :]:
            assert worst_difference(one, other) > 1
