"""Jobs with unlike LoRAs on one model: in one batch, without loading anything twice, each as if it were alone."""

from pathlib import Path
from typing import Any

import pytest

from tests.diffusion.test_lora import networks_of
from tests.loras import write_lora
from underpaint.diffusion.stable_diffusion import StableDiffusion
from underpaint.engine.messages import Addition, JobRequest, Picture, RequestPart

from .driving import Driven, job_request, worst_difference


@pytest.fixture(scope="module")
def files(sd1_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By the networks that each adds to; two for all."""
    folder = tmp_path_factory.mktemp("loras")
    networks = networks_of(sd1_checkpoint)
    parts: dict[str, dict[str, Any]] = {
        "all": networks,
        "other": networks,
        **{name: {name: network} for name, network in networks.items()},
    }
    return {
        name: write_lora(folder / f"{name}.safetensors", part, seed=seed)
        for seed, (name, part) in enumerate(parts.items())
    }


def lora(file: Path, weight: float = 1.0) -> Addition:
    return Addition(air="lora:1@1", location=file, weight=weight)


def unlike(folder: Path, files: dict[str, Path], photo: Picture) -> list[JobRequest]:
    wishes: dict[str, dict[str, Any]] = {
        "none": {},
        "one": {"loras": (lora(files["all"]),)},
        "another weight": {"loras": (lora(files["all"], -0.5),), "picture": photo, "strength": 0.6},
        "two": {"loras": (lora(files["all"], 0.4), lora(files["other"])), "scheduler": "Euler a"},
        "turned around": {"loras": (lora(files["other"]), lora(files["all"], 0.4)), "steps": 6},
        "words only": {"loras": (lora(files["text_encoder"]),), "guidance_scale": 1.0},
        "picture only": {"loras": (lora(files["unet"], 2.0),), "negative_prompt": "fog, " * 50},
    }
    return [job_request(name, folder, **each) for name, each in wishes.items()]


def test_together_each_gives_what_it_gives_alone(
    sd1_checkpoint: Path, files: dict[str, Path], photo: Picture
) -> None:
    requests = unlike(sd1_checkpoint, files, photo)
    together, alone = Driven(max_rows=16), Driven()
    together.finish(*requests)
    for request in requests:
        alone.finish(request)
        assert worst_difference(together.picture(request.job_id), alone.picture(request.job_id)) <= 1
    assert worst_difference(alone.picture("one"), alone.picture("none")) > 10
    assert worst_difference(alone.picture("words only"), alone.picture("none")) > 10


def test_under_strict_determinism_to_the_byte(
    sd1_checkpoint: Path, files: dict[str, Path], photo: Picture
) -> None:
    requests = unlike(sd1_checkpoint, files, photo)
    together, alone = Driven(strict_rows=4), Driven(strict_rows=4)
    together.finish(*requests)
    for request in requests:
        alone.finish(request)
        assert together.picture(request.job_id).tobytes() == alone.picture(request.job_id).tobytes()


def test_they_share_passes_and_nothing_is_loaded_twice(
    sd1_checkpoint: Path, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    loaded: list[Path] = []
    predict, load, load_lora = StableDiffusion.predict, StableDiffusion.load, StableDiffusion.load_lora

    def predicting(model: StableDiffusion, batch: Any) -> Any:
        rows.append(len(batch))
        return predict(model, batch)

    def loading(location: Path, **options: Any) -> StableDiffusion:
        loaded.append(location)
        return load(location, **options)

    def loading_lora(model: StableDiffusion, location: Path) -> Any:
        loaded.append(location)
        return load_lora(model, location)

    monkeypatch.setattr(StableDiffusion, "predict", predicting)
    monkeypatch.setattr(StableDiffusion, "load", loading)
    monkeypatch.setattr(StableDiffusion, "load_lora", loading_lora)
    driven = Driven(max_rows=8)
    driven.finish(
        job_request("none", sd1_checkpoint),
        job_request("one", sd1_checkpoint, loras=(lora(files["all"]),)),
        job_request("another", sd1_checkpoint, loras=(lora(files["other"], 0.5),)),
        job_request("both", sd1_checkpoint, loras=(lora(files["all"], 0.2), lora(files["other"]))),
    )
    driven.finish(job_request("later", sd1_checkpoint, loras=(lora(files["other"], -1.0),)))

    assert rows == [8] * 4 + [2] * 4
    assert loaded == [sd1_checkpoint, files["all"], files["other"]]


def test_encoded_prompts_are_kept_by_what_the_text_encoder_was_told(
    sd1_checkpoint: Path, files: dict[str, Path]
) -> None:
    driven = Driven()
    driven.finish(job_request("none", sd1_checkpoint))
    misses = driven.engine._encodings.misses
    driven.finish(job_request("picture only", sd1_checkpoint, loras=(lora(files["unet"]),)))
    assert driven.engine._encodings.misses == misses
    driven.finish(job_request("words too", sd1_checkpoint, loras=(lora(files["all"]),)))
    assert driven.engine._encodings.misses == misses + 2
    driven.finish(job_request("weaker", sd1_checkpoint, loras=(lora(files["all"], 0.5),)))
    assert driven.engine._encodings.misses == misses + 4
    driven.finish(job_request("again", sd1_checkpoint, loras=(lora(files["all"], 0.5),)))
    assert driven.engine._encodings.misses == misses + 4
    assert worst_difference(driven.picture("weaker"), driven.picture("again")) == 0


def test_one_that_cannot_be_used_fails_its_job_alone(
    sd1_checkpoint: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(files["all"].read_bytes()[:-8])
    driven = Driven()
    driven.finish(
        job_request("broken", sd1_checkpoint, loras=(lora(files["all"]), lora(broken))),
        job_request("whole", sd1_checkpoint, loras=(lora(files["all"]),)),
    )
    assert driven.failed("broken").code == "modelLoad"
    assert driven.failed("broken").part == RequestPart("loras", 1)
    assert "broken.safetensors" in driven.failed("broken").message
    assert driven.finished("whole").steps_run == 4


def test_they_are_dropped_with_their_model(
    sd1_checkpoint: Path, sd2_checkpoint: Path, files: dict[str, Path]
) -> None:
    driven = Driven(models_bytes=0)
    driven.finish(job_request("one", sd1_checkpoint, loras=(lora(files["all"]),)))
    kept = driven.engine._additions._loaded
    assert kept.size_bytes > 0
    driven.finish(job_request("other model", sd2_checkpoint))
    assert kept.size_bytes == 0


def test_without_room_they_are_loaded_for_each_job(sd1_checkpoint: Path, files: dict[str, Path]) -> None:
    driven = Driven(additions_bytes=0)
    for job_id in ("one", "again"):
        driven.finish(job_request(job_id, sd1_checkpoint, loras=(lora(files["all"]),)))
    assert driven.engine._additions._loaded.size_bytes == 0
    assert worst_difference(driven.picture("one"), driven.picture("again")) == 0
