"""LoRAs and VAEs of FLUX.1 through the engine and through diffusers' pipelines, to 1/255 a channel."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from tests.checkpoints_flux import write_flux_checkpoint
from tests.engine.driving import Driven, job_request, worst_difference
from tests.flux_loras import layers, write_flux_lora
from tests.reference.side_by_side import is_flat
from underpaint.diffusion.family import Row
from underpaint.diffusion.quiet import quiet_libraries
from underpaint.engine.messages import Addition, JobRequest, ModelReference, Picture

PROMPT, STEPS, SEED = "a red house by the sea, watercolor", 6, 3


@pytest.fixture(scope="module")
def driven() -> Driven:
    return Driven(max_rows=8)


@pytest.fixture
def pipeline(flux_checkpoint: Path) -> Iterator[Any]:
    with quiet_libraries():
        loaded = diffusers.FluxPipeline.from_pretrained(flux_checkpoint)
    loaded.set_progress_bar_config(disable=True)
    yield loaded
    loaded.unload_lora_weights()


def request(folder: Path, **more: Any) -> JobRequest:
    usual: dict[str, Any] = {
        "model": ModelReference(architecture="flux1d", location=folder),
        "prompt": PROMPT,
        "steps": STEPS,
        "seed": SEED,
        "guidance_scale": 3.5,
        "scheduler": "Default",
    }
    return job_request(more.pop("job_id", "only"), folder, **{**usual, **more})


def ours(driven: Driven, asked: JobRequest) -> Picture:
    driven.events.clear()
    driven.finish(asked)
    return driven.picture(asked.job_id)


def theirs(pipeline: Any, **more: Any) -> Picture:
    if "image" in more:
        pipeline = diffusers.FluxImg2ImgPipeline.from_pipe(pipeline)
        pipeline.set_progress_bar_config(disable=True)
    with quiet_libraries():
        made = pipeline(
            prompt=PROMPT,
            num_inference_steps=STEPS,
            guidance_scale=3.5,
            width=64,
            height=64,
            generator=torch.Generator("cpu").manual_seed(SEED),
            **more,
        )
    return np.asarray(made.images[0])


def adapted(pipeline: Any, *loras: tuple[Path, float]) -> None:
    names = [f"a{position}" for position in range(len(loras))]
    # peft warns of every second adapter.
    with quiet_libraries(), warnings.catch_warnings(action="ignore"):
        for name, (file, _) in zip(names, loras, strict=True):
            pipeline.load_lora_weights(file.parent, weight_name=file.name, adapter_name=name)
        pipeline.set_adapters(names, [weight for _, weight in loras])


def additions(*loras: tuple[Path, float]) -> tuple[Addition, ...]:
    return tuple(Addition(air="test:1@1", location=file, weight=weight) for file, weight in loras)


def networks_of(pipeline: Any) -> dict[str, Any]:
    return {name: getattr(pipeline, name) for name in ("transformer", "text_encoder")}


def test_one_for_all_layers_and_the_text_matches(
    driven: Driven, pipeline: Any, flux_checkpoint: Path, tmp_path: Path
) -> None:
    file = write_flux_lora(tmp_path / "a.safetensors", networks_of(pipeline), layers(), text=True)
    plain, changed = (
        ours(driven, request(flux_checkpoint, loras=loras)) for loras in ((), additions((file, 0.8)))
    )
    adapted(pipeline, (file, 0.8))
    assert worst_difference(changed, theirs(pipeline)) <= 1
    assert worst_difference(changed, plain) > 10
    assert not is_flat(changed)


def test_kohyas_layout_matches(driven: Driven, pipeline: Any, flux_checkpoint: Path, tmp_path: Path) -> None:
    """Without the text encoder, of whose attention diffusers loses what such files hold."""
    found = layers("kohya", joined=False, last=False)
    file = write_flux_lora(
        tmp_path / "a.safetensors", networks_of(pipeline), found, layout="kohya", alpha=6.0
    )
    adapted(pipeline, (file, -0.6))
    changed = ours(driven, request(flux_checkpoint, loras=additions((file, -0.6))))
    assert worst_difference(changed, theirs(pipeline)) <= 1


def test_several_match_where_a_picture_is_begun_with(
    driven: Driven, pipeline: Any, flux_checkpoint: Path, tmp_path: Path, photo: Picture
) -> None:
    files = [
        write_flux_lora(tmp_path / f"{seed}.safetensors", networks_of(pipeline), layers(), seed=seed)
        for seed in (1, 2)
    ]
    loras = tuple(zip(files, (0.7, -0.4), strict=True))
    adapted(pipeline, *loras)
    asked = request(flux_checkpoint, loras=additions(*loras), picture=photo, strength=0.5)
    reference = theirs(pipeline, image=Image.fromarray(photo), strength=0.5)
    assert worst_difference(ours(driven, asked), reference) <= 1


def test_jobs_with_other_loras_share_passes(
    pipeline: Any, flux_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [
        write_flux_lora(
            tmp_path / f"{seed}.safetensors", networks_of(pipeline), layers(), text=True, seed=seed
        )
        for seed in (1, 2)
    ]
    wishes = {
        "none": (),
        "one": additions((files[0], 1.0)),
        "other": additions((files[1], -0.5)),
        "both": additions((files[1], 0.3), (files[0], 0.5)),
    }
    jobs = [request(flux_checkpoint, job_id=name, loras=loras) for name, loras in wishes.items()]
    driven = Driven(max_rows=8)
    model = driven.engine.model(jobs[0].model)
    rows: list[int] = []
    predict: Callable[..., Any] = model.predict

    def counting(given: Sequence[Row]) -> Any:
        rows.append(len(given))
        return predict(given)

    monkeypatch.setattr(model, "predict", counting)
    driven.finish(*jobs)
    assert rows == [4] * STEPS
    together = {job.job_id: driven.picture(job.job_id) for job in jobs}
    for job in jobs:
        assert worst_difference(together[job.job_id], ours(driven, job)) <= 1


def test_another_vae_matches(
    driven: Driven, pipeline: Any, flux_checkpoint: Path, tmp_path: Path, photo: Picture
) -> None:
    other = write_flux_checkpoint(tmp_path / "other", weights_seed=7)
    vae = Addition(air="test:2@1", location=other / "vae" / "diffusion_pytorch_model.safetensors")
    own = ours(driven, request(flux_checkpoint, picture=photo, strength=0.5))
    changed = ours(driven, request(flux_checkpoint, picture=photo, strength=0.5, vae=vae))
    with quiet_libraries():
        pipeline.vae = diffusers.AutoencoderKL.from_pretrained(other / "vae")
    assert worst_difference(changed, theirs(pipeline, image=Image.fromarray(photo), strength=0.5)) <= 1
    assert worst_difference(changed, own) > 10
