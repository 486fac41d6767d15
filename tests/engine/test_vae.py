"""Jobs with another VAE than the model's own share passes with those that have none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from underpaint.diffusion.stable_diffusion import StableDiffusion
from underpaint.engine.messages import Addition, Picture, RequestPart

from .driving import Driven, job_request, worst_difference


@pytest.fixture(scope="module")
def vae(make_checkpoint: Callable[..., Path]) -> Addition:
    other = make_checkpoint(weights_seed=5)
    return Addition(air="vae:1@1", location=other / "vae/diffusion_pytorch_model.safetensors")


def test_each_is_painted_by_its_own(
    sd1_checkpoint: Path, vae: Addition, photo: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    predict = StableDiffusion.predict

    def predicting(model: StableDiffusion, batch: Any) -> Any:
        rows.append(len(batch))
        return predict(model, batch)

    monkeypatch.setattr(StableDiffusion, "predict", predicting)
    requests = [
        job_request(name, sd1_checkpoint, picture=photo, strength=0.5, vae=used, previews=True)
        for name, used in (("own", None), ("other", vae), ("again", vae))
    ]
    together, alone = Driven(max_rows=8), Driven()
    together.finish(*requests)
    assert rows == [6, 6]
    for request in requests:
        alone.finish(request)
        assert worst_difference(together.picture(request.job_id), alone.picture(request.job_id)) <= 1
    assert worst_difference(alone.picture("own"), alone.picture("other")) > 10
    assert together.engine._additions._loaded.misses == 1
    # One of the model's own, one of the other.
    assert together.engine._encodings.misses == 2 + 2


@pytest.mark.parametrize("damage", ["cut short", "another layout"])
def test_one_that_cannot_be_used_fails_its_job_alone(
    sd1_checkpoint: Path, sd2_checkpoint: Path, vae: Addition, tmp_path: Path, damage: str
) -> None:
    file = tmp_path / "broken.safetensors"
    if damage == "cut short":
        file.write_bytes(vae.location.read_bytes()[:-8])
    else:
        file.write_bytes((sd1_checkpoint / "unet/diffusion_pytorch_model.safetensors").read_bytes())
    driven = Driven()
    driven.finish(
        job_request("broken", sd1_checkpoint, vae=Addition(air="vae:1@1", location=file)),
        job_request("whole", sd1_checkpoint, vae=vae),
    )
    assert driven.failed("broken").code == "modelLoad"
    assert driven.failed("broken").part == RequestPart("vae")
    assert "broken.safetensors cannot be used as the VAE of this model" in driven.failed("broken").message
    assert driven.finished("whole").steps_run == 4
