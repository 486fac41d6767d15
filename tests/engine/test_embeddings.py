"""Jobs with unlike embeddings on one model: in one batch, without loading anything twice, each as if it were alone."""

from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints_xl import write_sdxl_checkpoint
from tests.embeddings import write_embedding
from tests.reference.test_embeddings import widths
from underpaint.diffusion.stable_diffusion import StableDiffusion
from underpaint.engine.messages import Embedding, JobRequest, ModelReference, Refiner, RequestPart

from .driving import Driven, job_request, worst_difference

PROMPT = "a red toy by the sea"


@pytest.fixture(scope="module")
def files(sd1_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of two vectors each."""
    folder = tmp_path_factory.mktemp("embeddings")
    return [
        write_embedding(folder / f"{seed}.safetensors", *widths(sd1_checkpoint), seed=seed) for seed in (0, 1)
    ]


def toy(file: Path, weight: float = 1.0, trigger: str = "toy") -> Embedding:
    return Embedding(air="test:1@1", location=file, weight=weight, triggers=(trigger,))


def unlike(folder: Path, files: list[Path]) -> list[JobRequest]:
    wishes: dict[str, dict[str, Any]] = {
        "none": {},
        "one": {"embeddings": (toy(files[0]),)},
        "another": {"embeddings": (toy(files[1]),), "scheduler": "Euler a"},
        "weaker": {"embeddings": (toy(files[0], 0.5),), "guidance_scale": 1.0},
        "both": {"embeddings": (toy(files[0]), toy(files[1], trigger="fog")), "negative_prompt": "fog"},
        "long": {"embeddings": (toy(files[1]),), "negative_prompt": "toy, " * 60},
        "weighted": {"embeddings": (toy(files[0]),), "prompt": "(toy)1.4", "prompt_weighting": "compel"},
    }
    return [job_request(name, folder, **{"prompt": PROMPT, **each}) for name, each in wishes.items()]


def test_together_each_gives_what_it_gives_alone(sd1_checkpoint: Path, files: list[Path]) -> None:
    requests = unlike(sd1_checkpoint, files)
    together = Driven(max_rows=16)
    together.finish(*requests)
    for request in requests:
        alone = Driven()
        alone.finish(request)
        assert worst_difference(together.picture(request.job_id), alone.picture(request.job_id)) <= 1
    for one, other in (("none", "one"), ("one", "another"), ("one", "both")):
        assert worst_difference(together.picture(one), together.picture(other)) > 10


def test_they_share_passes_and_nothing_is_loaded_twice(
    sd1_checkpoint: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    loaded: list[Path] = []
    predict, load = StableDiffusion.predict, StableDiffusion.load_inversion

    def predicting(model: StableDiffusion, batch: Any) -> Any:
        rows.append(len(batch))
        return predict(model, batch)

    def loading(model: StableDiffusion, location: Path) -> Any:
        loaded.append(location)
        return load(model, location)

    monkeypatch.setattr(StableDiffusion, "predict", predicting)
    monkeypatch.setattr(StableDiffusion, "load_inversion", loading)
    driven = Driven(max_rows=8)
    driven.finish(*(request for request in unlike(sd1_checkpoint, files)[:3]))
    driven.finish(job_request("later", sd1_checkpoint, prompt=PROMPT, embeddings=(toy(files[1], -1.0),)))
    assert rows == [6] * 4 + [2] * 4
    assert loaded == files


def test_encoded_prompts_are_kept_by_the_embeddings_that_they_name(
    sd1_checkpoint: Path, files: list[Path]
) -> None:
    driven = Driven()
    encodings = driven.engine._encodings

    def new_ones(*embeddings: Embedding, **more: Any) -> int:
        before = encodings.misses
        driven.finish(
            job_request("any", sd1_checkpoint, **{"prompt": PROMPT, "embeddings": embeddings, **more})
        )
        driven.events.clear()
        return encodings.misses - before

    assert new_ones() == 2
    # The negative prompt names none and stays what it is.
    assert new_ones(toy(files[0])) == 1
    assert new_ones(toy(files[0], 0.5)) == 1
    assert new_ones(toy(files[1])) == 1
    assert new_ones(toy(files[0], trigger="sea")) == 1
    assert new_ones(toy(files[0]), toy(files[1], trigger="fog")) == 0
    assert new_ones(toy(files[0]), toy(files[1], trigger="fog"), negative_prompt="fog") == 1
    assert new_ones() == 0


def test_one_that_cannot_be_used_fails_its_job_alone(
    sd1_checkpoint: Path, files: list[Path], tmp_path: Path
) -> None:
    wide = write_embedding(tmp_path / "wide.safetensors", widths(sd1_checkpoint)[0] + 1)
    driven = Driven()
    driven.finish(
        job_request("wide", sd1_checkpoint, prompt=PROMPT, embeddings=(toy(files[0]), toy(wide))),
        job_request("whole", sd1_checkpoint, prompt=PROMPT, embeddings=(toy(files[0]),)),
    )
    assert driven.failed("wide").code == "modelLoad"
    assert driven.failed("wide").part == RequestPart("embeddings", 1)
    assert "wide.safetensors" in driven.failed("wide").message
    assert driven.finished("whole").steps_run == 4


def test_the_refiner_knows_the_words_too(sdxl_checkpoint: Path, tmp_path: Path) -> None:
    refiner_checkpoint = write_sdxl_checkpoint(tmp_path / "refiner", refiner=True)
    file = write_embedding(tmp_path / "toy.safetensors", *widths(sdxl_checkpoint))
    driven = Driven()
    before = driven.engine._encodings.misses
    driven.finish(
        job_request(
            "refined",
            sdxl_checkpoint,
            model=ModelReference(architecture="sdxl", location=sdxl_checkpoint),
            refiner=Refiner(
                model=ModelReference(architecture="sdxl", location=refiner_checkpoint), start_step=2
            ),
            prompt=PROMPT,
            embeddings=(toy(file),),
        )
    )
    assert driven.finished("refined").steps_run == 4
    keys: list[Any] = [
        key for key in driven.engine._encodings._values if key[:1] == ("prompt",) and key[2] == PROMPT
    ]
    assert driven.engine._encodings.misses > before
    assert [key[1].location for key in keys] == [sdxl_checkpoint, refiner_checkpoint]
    assert all(key[-1] for key in keys)
