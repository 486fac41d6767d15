"""A job whose last steps a second model takes over."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints_xl import write_sdxl_checkpoint
from tests.engine.driving import Driven, job_request, worst_difference
from underpaint.engine.messages import JobRequest, ModelReference, Picture, Refiner, RequestPart


@pytest.fixture(scope="module")
def refiner(tmp_path_factory: pytest.TempPathFactory) -> ModelReference:
    folder = write_sdxl_checkpoint(tmp_path_factory.mktemp("sdxl") / "refiner", refiner=True, weights_seed=1)
    return ModelReference(architecture="sdxl", location=folder)


@pytest.fixture(scope="module")
def ask(sdxl_checkpoint: Path, refiner: ModelReference) -> Callable[..., JobRequest]:
    """A request; with `start_step`, one with a refiner."""

    def request(job_id: str, start_step: int | None = None, **more: Any) -> JobRequest:
        usual = {"model": ModelReference(architecture="sdxl", location=sdxl_checkpoint), "steps": 5, **more}
        made = job_request(job_id, sdxl_checkpoint, **usual)
        taking_over = None if start_step is None else Refiner(model=refiner, start_step=start_step)
        return replace(made, refiner=taking_over)

    return request


@pytest.mark.parametrize("models_bytes", [1, None])
def test_jobs_with_and_without_it_go_on_beside_each_other(
    ask: Callable[..., JobRequest], photo: Picture, models_bytes: int | None
) -> None:
    requests = [
        ask("early", 1),
        ask("late", 4, scheduler="Euler a", seed=5),
        ask("never", seed=6),
        ask("of second order", 3, scheduler="Heun", seed=7),
        ask("photo", 4, picture=photo, strength=0.6, guidance_scale=1.0),
        ask("long", 2, prompt="cat " * 90, negative_prompt="fog"),
    ]
    together, alone = Driven(models_bytes=models_bytes), Driven()
    together.finish(*requests)
    for request in requests:
        alone.finish(request)
        assert worst_difference(together.picture(request.job_id), alone.picture(request.job_id)) <= 1


def test_progress_counts_the_steps_of_both(ask: Callable[..., JobRequest]) -> None:
    driven = Driven()
    driven.finish(ask("only", 3))
    steps = [event.step for event in driven.progress("only") if event.stage == "running"]
    assert steps == sorted(steps)
    assert set(steps) == {0, 1, 2, 3, 4, 5}
    assert {event.steps for event in driven.progress("only")} == {5}
    assert driven.finished("only").steps_run == 5


@pytest.mark.parametrize("name", ["DDIM", "Heun", "PNDMScheduler", "DPM++ 2M", "LMS"])
def test_each_sampler_runs_all_its_steps_between_them(ask: Callable[..., JobRequest], name: str) -> None:
    driven = Driven()
    for start_step in (1, 2, 4):
        driven.finish(ask(f"at {start_step}", start_step, scheduler=name))
    assert worst_difference(driven.picture("at 1"), driven.picture("at 4")) > 5


def test_a_strength_that_leaves_the_first_model_no_step_runs_the_refiner_alone(
    ask: Callable[..., JobRequest], refiner: ModelReference, photo: Picture
) -> None:
    driven = Driven()
    driven.finish(
        ask("both asked", 2, picture=photo, strength=0.4),
        replace(ask("alone", picture=photo, strength=0.4), model=refiner),
    )
    assert driven.picture("both asked").tobytes() == driven.picture("alone").tobytes()
    assert driven.finished("both asked").steps_run == 2


def test_a_refiner_that_cannot_be_loaded_fails_its_job_and_no_other(
    ask: Callable[..., JobRequest], tmp_path: Path
) -> None:
    missing = Refiner(model=ModelReference(architecture="sdxl", location=tmp_path / "gone"), start_step=2)
    driven = Driven()
    driven.finish(replace(ask("fails"), refiner=missing), ask("other"))
    assert driven.failed("fails").code == "modelLoad"
    assert driven.failed("fails").part == RequestPart("refiner")
    assert driven.finished("other").steps_run == 5


@pytest.mark.parametrize("after", [1, 2, 3, 4])
@pytest.mark.parametrize("scheduler", ["DDIM", "Euler a", "DPM++ 2M"])
def test_a_job_that_is_interrupted_goes_on_in_either_model(
    ask: Callable[..., JobRequest], tmp_path: Path, scheduler: str, after: int
) -> None:
    options: dict[str, Any] = {"checkpoints": tmp_path, "checkpoint_interval_s": 0.0, "strict_rows": 4}
    request = ask("only", 2, scheduler=scheduler, checkpoint="name")
    begun, goes_on, alone = Driven(**options), Driven(**options), Driven(strict_rows=4)
    begun.engine.submit([request])
    begun.run_passes(after)
    begun.engine.close()
    goes_on.finish(request, ask("another", seed=8))
    alone.finish(request)
    assert goes_on.picture("only").tobytes() == alone.picture("only").tobytes()
    assert goes_on.progress("only")[0].step == 0
    assert next(event.step for event in goes_on.progress("only") if event.stage == "running") == after
