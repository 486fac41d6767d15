"""A picture does not depend on what else the engine is doing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from underpaint.engine.messages import JobRequest, ModelReference, Picture

from .driving import Driven, job_request, worst_difference

UNLIKE: dict[str, dict[str, Any]] = {
    "text to image": {"scheduler": "Euler a", "steps": 7},
    "no guidance": {"guidance_scale": 1.0, "scheduler": "DDIM", "steps": 5},
    "weak": {"strength": 0.3, "scheduler": "DPM++ 2M Karras", "steps": 12, "picture": True},
    "strong": {
        "strength": 0.9,
        "scheduler": "DPM++ SDE",
        "steps": 5,
        "picture": True,
        "guidance_scale": 12.0,
    },
    "of second order": {"strength": 0.6, "scheduler": "Heun", "steps": 5, "picture": True, "seed": 9},
    "long negative": {"negative_prompt": "fog, snow " * 60, "scheduler": "UniPC", "steps": 6},
    "few steps": {"scheduler": "LCM", "steps": 3, "guidance_scale": 1.0, "prompt": "two blue dogs"},
    "ancestral": {"scheduler": "Euler a", "steps": 6, "strength": 0.7, "picture": True, "clip_skip": 1},
    "weighted": {"prompt": "a (red:1.8) house", "steps": 5, "prompt_weighting": "sdEmbeds"},
}


def unlike(folder: Path, photo: Picture) -> list[JobRequest]:
    return [
        job_request(name, folder, **{**wishes, "picture": photo if wishes.get("picture") else None})
        for name, wishes in UNLIKE.items()
    ]


@pytest.mark.parametrize("max_rows", [3, 16])
def test_unlike_jobs_together_give_what_each_gives_alone(
    sd1_checkpoint: Path, photo: Picture, max_rows: int
) -> None:
    requests = unlike(sd1_checkpoint, photo)
    together, alone = Driven(max_rows=max_rows), Driven()
    together.finish(*requests)
    for request in requests:
        alone.finish(request)
        assert worst_difference(together.picture(request.job_id), alone.picture(request.job_id)) <= 1


def test_unlike_jobs_of_sdxl_together_give_what_each_gives_alone(
    sdxl_checkpoint: Path, photo: Picture
) -> None:
    model = ModelReference(architecture="sdxl", location=sdxl_checkpoint)
    requests = [replace(request, model=model) for request in unlike(sdxl_checkpoint, photo)]
    together, alone = Driven(max_rows=16), Driven()
    together.finish(*requests)
    for request in requests:
        alone.finish(request)
        assert worst_difference(together.picture(request.job_id), alone.picture(request.job_id)) <= 1


def test_unlike_jobs_of_flux_together_give_what_each_gives_alone(
    flux_checkpoint: Path, photo: Picture
) -> None:
    model = ModelReference(architecture="flux1d", location=flux_checkpoint)
    wishes: dict[str, dict[str, Any]] = {
        "text to image": {"steps": 5, "guidance_scale": 3.5},
        "weak": {"steps": 8, "strength": 0.4, "picture": photo, "scheduler": "Euler Karras", "seed": 4},
        "strong": {
            "steps": 4,
            "strength": 0.9,
            "picture": photo,
            "scheduler": "Euler Beta",
            "guidance_scale": 1.0,
        },
        "long": {"prompt": "two blue dogs " * 60, "steps": 4},
        "weighted": {"prompt": "a (red:1.8) house", "prompt_weighting": "sdEmbeds", "guidance_scale": 9.0},
    }
    requests = [
        job_request(name, flux_checkpoint, **{"scheduler": "Default", **wish, "model": model})
        for name, wish in wishes.items()
    ]
    together, alone = Driven(max_rows=8), Driven()
    together.finish(*requests)
    for request in requests:
        alone.finish(request)
        assert worst_difference(together.picture(request.job_id), alone.picture(request.job_id)) <= 1


def test_unlike_jobs_of_stable_diffusion_3_together_give_what_each_gives_alone(
    sd3_checkpoint: Path, photo: Picture
) -> None:
    model = ModelReference(architecture="sd3", location=sd3_checkpoint)
    wishes: dict[str, dict[str, Any]] = {
        "text to image": {"steps": 5},
        "no guidance": {"steps": 4, "guidance_scale": 1.0},
        "weak": {"steps": 8, "strength": 0.4, "picture": photo, "scheduler": "Euler Karras", "seed": 4},
        "strong": {"steps": 4, "strength": 0.9, "picture": photo, "scheduler": "Euler Beta"},
        "long": {"prompt": "two blue dogs " * 60, "negative_prompt": "fog", "steps": 4, "clip_skip": 1},
        "weighted": {"prompt": "a (red:1.8) house", "prompt_weighting": "sdEmbeds", "guidance_scale": 9.0},
    }
    requests = [
        job_request(name, sd3_checkpoint, **{"scheduler": "Default", **wish, "model": model})
        for name, wish in wishes.items()
    ]
    together, alone = Driven(max_rows=8), Driven()
    together.finish(*requests)
    for request in requests:
        alone.finish(request)
        assert worst_difference(together.picture(request.job_id), alone.picture(request.job_id)) <= 1


def test_a_weight_within_a_prompt_changes_the_picture(sd1_checkpoint: Path) -> None:
    driven = Driven()
    plain = job_request("plain", sd1_checkpoint, prompt="a house", steps=5)
    driven.finish(
        plain,
        job_request("said", sd1_checkpoint, prompt="a (house:4)", steps=5, prompt_weighting="sdEmbeds"),
        job_request("unsaid", sd1_checkpoint, prompt="a house", steps=5, prompt_weighting="compel"),
    )

    assert worst_difference(driven.picture("said"), driven.picture("plain")) > 1
    assert worst_difference(driven.picture("unsaid"), driven.picture("plain")) <= 1


def test_jobs_that_join_midway_change_nothing(sd1_checkpoint: Path, photo: Picture) -> None:
    first, *later = unlike(sd1_checkpoint, photo)
    driven, alone = Driven(), Driven()
    driven.engine.submit([first])
    for request in later:
        driven.run_passes(1)
        driven.engine.submit([request])
    while driven.engine.busy:
        driven.engine.tick()
    for request in (first, *later):
        alone.finish(request)
        assert worst_difference(driven.picture(request.job_id), alone.picture(request.job_id)) <= 1


@pytest.mark.parametrize("scheduler", ["DDIM", "Euler a", "DPM++ SDE"])
def test_the_same_request_twice_gives_the_same_bytes(
    sd1_checkpoint: Path, photo: Picture, scheduler: str
) -> None:
    driven = Driven()
    for job_id in ("first", "again"):
        driven.finish(
            job_request(job_id, sd1_checkpoint, picture=photo, strength=0.6, steps=6, scheduler=scheduler)
        )
    assert driven.picture("first").tobytes() == driven.picture("again").tobytes()


def test_each_of_three_results_can_be_had_again_from_its_seed(sd1_checkpoint: Path, photo: Picture) -> None:
    wishes: dict[str, Any] = {"picture": photo, "strength": 0.7, "steps": 6, "scheduler": "Euler a"}
    three, alone = Driven(), Driven()
    three.finish(*(job_request(str(seed), sd1_checkpoint, seed=seed, **wishes) for seed in (5, 6, 7)))
    for seed in (5, 6, 7):
        alone.finish(job_request(str(seed), sd1_checkpoint, seed=seed, **wishes))
        assert worst_difference(three.picture(str(seed)), alone.picture(str(seed))) <= 1
    assert worst_difference(three.picture("5"), three.picture("6")) > 10


def test_jobs_share_forward_passes(sd1_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from underpaint.diffusion.stable_diffusion import StableDiffusion

    rows_of_passes: list[int] = []
    predict = StableDiffusion.predict

    def counting(model: StableDiffusion, rows: Any) -> Any:
        rows_of_passes.append(len(rows))
        return predict(model, rows)

    monkeypatch.setattr(StableDiffusion, "predict", counting)
    Driven(max_rows=8).finish(
        job_request("guided", sd1_checkpoint, steps=4),
        job_request("unguided", sd1_checkpoint, steps=2, guidance_scale=1.0),
        job_request("other sampler", sd1_checkpoint, steps=3, scheduler="Euler a"),
    )
    assert rows_of_passes == [5, 5, 4, 2]


def test_sizes_do_not_mix(sd1_checkpoint: Path) -> None:
    driven = Driven()
    driven.finish(
        job_request("square", sd1_checkpoint), job_request("wide", sd1_checkpoint, width_px=96, height_px=48)
    )
    assert driven.picture("square").shape == (64, 64, 3)
    assert driven.picture("wide").shape == (48, 96, 3)
    assert driven.picture("wide").dtype == np.uint8
