"""Jobs with unlike ControlNets on one model: in one batch, nothing loaded twice, each as if it were alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.checkpoints import photo_like
from tests.checkpoints_xl import write_sdxl_checkpoint
from tests.controlnets import write_controlnet
from tests.diffusion.test_lora import networks_of
from tests.ip_adapters import write_image_encoder, write_ip_adapter
from tests.loras import write_lora
from underpaint.diffusion.stable_diffusion import StableDiffusion
from underpaint.engine import models as models_module
from underpaint.engine.messages import (
    Addition,
    Control,
    DeepCache,
    ImagePrompt,
    JobRequest,
    ModelReference,
    Pass,
    Picture,
    Refiner,
    RequestPart,
)

from .driving import Driven, job_request, worst_difference

EDGES = np.ascontiguousarray(photo_like()[::-1])
OTHER_EDGES = 255 - photo_like()


@pytest.fixture(scope="module")
def unet(sd1_checkpoint: Path) -> Any:
    return networks_of(sd1_checkpoint)["unet"]


@pytest.fixture(scope="module")
def controls(unet: Any, tmp_path_factory: pytest.TempPathFactory) -> Sequence[Control]:
    """Two, and one that says the same everywhere."""
    folder = tmp_path_factory.mktemp("controlnets")
    return [
        Control(
            air="test:1@1",
            location=write_controlnet(folder / str(seed), unet, seed=seed),
            map=EDGES,
            pools=seed == 2,
        )
        for seed in range(3)
    ]


@pytest.fixture(scope="module")
def acting(unet: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A LoRA and an IP-Adapter."""
    folder = tmp_path_factory.mktemp("acting")
    lora = write_lora(folder / "lora.safetensors", {"unet": unet})
    prompt = ImagePrompt(
        air="test:3@1",
        location=write_ip_adapter(folder / "adapter.safetensors", unet),
        encoder=write_image_encoder(folder / "image_encoder"),
        pictures=(EDGES,),
    )
    return {"loras": (Addition(air="test:2@1", location=lora, weight=1.0),), "image_prompts": (prompt,)}


def unlike(
    folder: Path, controls: Sequence[Control], acting: dict[str, Any], photo: Picture
) -> list[JobRequest]:
    first, second, pooling = controls
    half = np.tile(np.where(np.arange(64) < 32, 0, 255).astype(np.uint8), (64, 1))
    wishes: dict[str, dict[str, Any]] = {
        "none": {},
        "one": {"controls": (first,)},
        "weaker": {"controls": (replace(first, weight=0.3),), "picture": photo, "strength": 0.6},
        "early": {"controls": (replace(first, end=0.5),)},
        "late": {"controls": (replace(first, start=0.5, map=OTHER_EDGES),), "scheduler": "Euler a"},
        "prompt": {"controls": (replace(first, mode="prompt"),)},
        "map": {"controls": (replace(second, mode="controlnet"),)},
        "three": {"controls": (first, replace(second, weight=0.4), replace(first, map=OTHER_EDGES))},
        "pooling": {"controls": (pooling, replace(first, weight=0.2))},
        "inpainting": {"controls": (first,), "picture": photo, "mask": half},
        "unguided": {"controls": (second,), "guidance_scale": 1.0},
        "with others": {"controls": (first,), **acting},
        "others alone": acting,
    }
    return [job_request(name, folder, **each) for name, each in wishes.items()]


def test_together_each_gives_what_it_gives_alone(
    sd1_checkpoint: Path, controls: Sequence[Control], acting: dict[str, Any], photo: Picture
) -> None:
    requests = unlike(sd1_checkpoint, controls, acting, photo)
    together, alone = Driven(max_rows=30), Driven()
    together.finish(*requests)
    for request in requests:
        alone.finish(request)
        assert worst_difference(together.picture(request.job_id), alone.picture(request.job_id)) <= 1
    different = ("none", "one", "early", "prompt", "map", "three", "pooling", "with others", "others alone")
    for at, name in enumerate(different):
        for other in different[at + 1 :]:
            assert worst_difference(alone.picture(name), alone.picture(other)) > 3, (name, other)


def test_under_strict_determinism_to_the_byte(
    sd1_checkpoint: Path, controls: Sequence[Control], acting: dict[str, Any], photo: Picture
) -> None:
    requests = unlike(sd1_checkpoint, controls, acting, photo)
    together, alone = Driven(strict_rows=4), Driven(strict_rows=4)
    together.finish(*requests)
    for request in requests:
        alone.finish(request)
        assert together.picture(request.job_id).tobytes() == alone.picture(request.job_id).tobytes()


def test_they_share_passes_and_a_network_runs_over_the_rows_that_have_it(
    sd1_checkpoint: Path, controls: Sequence[Control], monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffusers import ControlNetModel

    rows: list[int] = []
    run: list[int] = []
    loaded: list[Path] = []
    predict, load, forward = (
        StableDiffusion.predict,
        StableDiffusion.load_controlnet,
        ControlNetModel.forward,
    )

    def predicting(model: StableDiffusion, batch: Any) -> Any:
        rows.append(len(batch))
        return predict(model, batch)

    def loading(model: StableDiffusion, location: Path, *, pools: bool) -> Any:
        loaded.append(location)
        return load(model, location, pools=pools)

    def running(network: Any, **inputs: Any) -> Any:
        run.append(len(inputs["sample"]))
        return forward(network, **inputs)

    monkeypatch.setattr(StableDiffusion, "predict", predicting)
    monkeypatch.setattr(StableDiffusion, "load_controlnet", loading)
    monkeypatch.setattr(ControlNetModel, "forward", running)
    first, second, _ = controls
    driven = Driven(max_rows=10)
    driven.finish(
        job_request("none", sd1_checkpoint),
        job_request("one", sd1_checkpoint, controls=(first,)),
        job_request("conditional", sd1_checkpoint, controls=(replace(first, mode="controlnet", weight=0.5),)),
        job_request("early", sd1_checkpoint, controls=(replace(second, end=0.5),)),
        job_request("idle", sd1_checkpoint, controls=(replace(second, weight=0.0),)),
    )
    assert rows == [10] * 4
    assert run == [3, 2, 3, 2, 3, 3]
    driven.finish(job_request("later", sd1_checkpoint, controls=(first,)))
    assert loaded == [first.location, second.location]


def test_models_of_one_family_share_them(
    sd1_checkpoint: Path, make_checkpoint: Any, controls: Sequence[Control], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Path] = []
    load = StableDiffusion.load_controlnet

    def loading(model: StableDiffusion, location: Path, *, pools: bool) -> Any:
        loaded.append(location)
        return load(model, location, pools=pools)

    monkeypatch.setattr(StableDiffusion, "load_controlnet", loading)
    other = make_checkpoint(weights_seed=5)
    driven = Driven()
    driven.finish(
        job_request("one", sd1_checkpoint, controls=controls[:1]),
        job_request("other", other, controls=controls[:1]),
    )
    assert loaded == [controls[0].location]
    assert driven.finished("other").steps_run == 4


def test_they_count_among_the_models_and_go_when_memory_is_short(
    sd1_checkpoint: Path, sd2_checkpoint: Path, controls: Sequence[Control]
) -> None:
    first, second, _ = controls
    driven = Driven(models_bytes=0)
    driven.finish(job_request("one", sd1_checkpoint, controls=(first, second)))
    kept = driven.engine._models
    sizes = dict(kept._sizes)
    assert len(sizes) == 3, "what works together is there together"
    reference = job_request("any", sd1_checkpoint).model
    weights = sum(path.stat().st_size for path in first.location.glob("*.safetensors"))
    [size, _] = [size for key, size in sizes.items() if key != reference]
    assert 0.95 * weights < size <= weights
    driven.finish(job_request("plain", sd2_checkpoint))
    assert kept._sizes.keys() == {job_request("any", sd2_checkpoint).model}
    driven.finish(
        job_request("back", sd1_checkpoint, controls=(second,)), job_request("beside", sd2_checkpoint)
    )
    assert driven.finished("back").steps_run == driven.finished("beside").steps_run == 4


def test_what_was_dropped_is_loaded_again_for_a_job_that_waited(
    sd1_checkpoint: Path, sd2_checkpoint: Path, controls: Sequence[Control]
) -> None:
    driven, undisturbed = Driven(models_bytes=0), Driven()
    job = job_request("long", sd1_checkpoint, controls=controls[:1], steps=8)
    undisturbed.finish(job)
    driven.engine.submit([job])
    driven.run_passes(1)
    driven.engine._models.get(job_request("any", sd2_checkpoint).model)
    assert len(driven.engine._models._sizes) == 1, "a job that waits holds none"
    while driven.engine.busy:
        driven.engine.tick()
    assert driven.picture("long").tobytes() == undisturbed.picture("long").tobytes()


def test_jobs_whose_networks_do_not_fit_together_go_one_after_the_other(
    sd1_checkpoint: Path, controls: Sequence[Control], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Path] = []
    load = StableDiffusion.load_controlnet

    def loading(model: StableDiffusion, location: Path, *, pools: bool) -> Any:
        loaded.append(location)
        return load(model, location, pools=pools)

    monkeypatch.setattr(StableDiffusion, "load_controlnet", loading)
    driven = Driven()
    jobs = [
        job_request(str(number), sd1_checkpoint, controls=controls[number : number + 1], steps=20)
        for number in range(2)
    ]
    driven.finish(jobs[0])
    sizes = driven.engine._models._sizes
    capacity = sum(sizes.values()) + min(sizes.values()) // 2
    monkeypatch.setattr(models_module, "free_bytes", lambda device: capacity - sum(sizes.values()))
    loaded.clear()
    driven.finish(*(replace(job, job_id=f"again {job.job_id}") for job in jobs))
    assert driven.finished("again 0").steps_run == driven.finished("again 1").steps_run == 20
    assert len(loaded) < 8
    assert worst_difference(driven.picture("again 0"), driven.picture("0")) <= 1


def test_what_cannot_be_used_fails_its_job_alone(
    sd1_checkpoint: Path, sdxl_checkpoint: Path, controls: Sequence[Control], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.safetensors"
    [weights] = controls[0].location.glob("*.safetensors")
    broken.write_bytes(weights.read_bytes()[:-8])
    for_xl = write_controlnet(tmp_path / "for xl", networks_of(sdxl_checkpoint, xl=True)["unet"])
    culprits = {"broken": broken, "missing": tmp_path / "missing", "of another family": for_xl}
    driven = Driven()
    driven.finish(
        *(
            job_request(name, sd1_checkpoint, controls=(replace(controls[0], location=location),))
            for name, location in culprits.items()
        ),
        job_request("whole", sd1_checkpoint, controls=controls[:1]),
    )
    for name, location in culprits.items():
        assert driven.failed(name).code == "modelLoad"
        assert driven.failed(name).part == RequestPart("controls", 0)
        assert location.name in driven.failed(name).message
        assert str(tmp_path) not in driven.failed(name).message
    assert driven.finished("whole").steps_run == 4


def test_a_family_without_them_says_so(flux_checkpoint: Path, controls: Sequence[Control]) -> None:
    driven = Driven()
    flux = ModelReference(architecture="flux1d", location=flux_checkpoint)
    driven.finish(
        job_request("flux", flux_checkpoint, model=flux, controls=controls[:1], scheduler="Default")
    )
    assert driven.failed("flux").code == "modelLoad"
    assert "ControlNet" in driven.failed("flux").message


def first_step(driven: Driven) -> int:
    """The step that "job" began with once its model was there."""
    return next(each.step for each in driven.progress("job") if each.stage == "running")


@pytest.mark.parametrize("deep_cache", [None, DeepCache(interval=2, branch=0)])
def test_an_interrupted_job_goes_on(
    sd1_checkpoint: Path, controls: Sequence[Control], tmp_path: Path, deep_cache: DeepCache | None
) -> None:
    first, second, _ = controls
    job = job_request(
        "job",
        sd1_checkpoint,
        controls=(replace(first, end=0.5), replace(second, start=0.25)),
        steps=8,
        checkpoint="owner-task-0",
        deep_cache=deep_cache,
    )
    whole, begun = Driven(), Driven(checkpoints=tmp_path)
    whole.finish(job)
    begun.engine.submit([job])
    begun.run_passes(3)
    begun.engine.close()
    resumed = Driven(checkpoints=tmp_path)
    resumed.finish(job)
    assert first_step(resumed) == 3
    assert resumed.picture("job").tobytes() == whole.picture("job").tobytes()


@pytest.mark.parametrize(
    "change",
    [
        {"weight": 0.5},
        {"map": OTHER_EDGES},
        {"end": 0.75},
        {"start": 0.25},
        {"mode": "prompt"},
        {"pools": True},
    ],
)
def test_a_checkpoint_of_other_controls_is_not_used(
    sd1_checkpoint: Path, controls: Sequence[Control], tmp_path: Path, change: dict[str, Any]
) -> None:
    job = job_request("job", sd1_checkpoint, controls=controls[:1], steps=8, checkpoint="owner-task-0")
    begun = Driven(checkpoints=tmp_path)
    begun.engine.submit([job])
    begun.run_passes(3)
    begun.engine.close()
    resumed = Driven(checkpoints=tmp_path)
    resumed.finish(replace(job, controls=(replace(controls[0], **change),)))
    assert first_step(resumed) == 0


def test_in_tiles_each_sees_its_part_of_the_map(
    sd1_checkpoint: Path, controls: Sequence[Control], monkeypatch: pytest.MonkeyPatch
) -> None:
    maps: list[Any] = []
    predict = StableDiffusion.predict

    def predicting(model: StableDiffusion, batch: Any) -> Any:
        maps.append(batch[0].controls[0].map)
        return predict(model, batch)

    monkeypatch.setattr(StableDiffusion, "predict", predicting)
    large = photo_like(192, 128)
    control = replace(controls[0], map=large)
    driven = Driven()
    driven.finish(
        job_request(
            "tiled",
            sd1_checkpoint,
            controls=(control,),
            picture=255 - large,
            strength=0.5,
            width_px=192,
            height_px=128,
            tile_px=128,
        )
    )
    assert len(maps) == 4
    whole = torch.from_numpy(large / np.float32(255)).permute(2, 0, 1)
    assert torch.equal(maps[0], whole[:, :, :128])
    assert torch.equal(maps[1], whole[:, :, 64:])
    assert driven.picture("tiled").shape == (128, 192, 3)


def test_with_a_mask_margin_the_map_is_enlarged_with_the_picture(
    sd1_checkpoint: Path, controls: Sequence[Control], monkeypatch: pytest.MonkeyPatch
) -> None:
    maps: list[Any] = []
    predict = StableDiffusion.predict

    def predicting(model: StableDiffusion, batch: Any) -> Any:
        maps.append(batch[0].controls[0].map)
        return predict(model, batch)

    monkeypatch.setattr(StableDiffusion, "predict", predicting)
    picture, mask = photo_like(256, 256), np.zeros((256, 256), np.uint8)
    mask[40:60, 40:60] = 255
    # The map is the picture, so that both have to be enlarged alike.
    job = job_request(
        "job",
        sd1_checkpoint,
        picture=picture,
        mask=mask,
        mask_margin_px=32,
        controls=(replace(controls[0], map=picture),),
        width_px=256,
        height_px=256,
        steps=2,
    )
    driven = Driven()
    driven.finish(job)
    from underpaint.diffusion.mask_crop import MaskCrop

    crop = MaskCrop.around(mask, 32)
    assert crop is not None
    assert torch.equal(maps[0], torch.from_numpy(crop.enlarge(picture) / np.float32(255)).permute(2, 0, 1))


def test_one_for_inpainting_is_shown_a_blank_where_the_mask_paints(
    sd1_checkpoint: Path, controls: Sequence[Control], photo: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps: list[Any] = []
    predict = StableDiffusion.predict

    def predicting(model: StableDiffusion, batch: Any) -> Any:
        maps.append(batch[0].controls[0].map)
        return predict(model, batch)

    monkeypatch.setattr(StableDiffusion, "predict", predicting)
    mask = np.zeros((64, 64), np.uint8)
    mask[:20], mask[20:24] = 255, 100
    control = replace(controls[0], map=photo, hides_masked=True)
    Driven().finish(job_request("job", sd1_checkpoint, picture=photo, mask=mask, controls=(control,)))
    assert bool((maps[0][:, :20] == -1).all())
    assert torch.equal(maps[0][:, 20:], torch.from_numpy(photo / np.float32(255)).permute(2, 0, 1)[:, 20:])


def test_in_several_passes_the_shares_are_of_each(
    sd1_checkpoint: Path, controls: Sequence[Control], photo: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts: list[bool] = []
    predict = StableDiffusion.predict

    def predicting(model: StableDiffusion, batch: Any) -> Any:
        acts.append(bool(batch[0].controls))
        return predict(model, batch)

    monkeypatch.setattr(StableDiffusion, "predict", predicting)
    second = Pass(
        prompt="oil",
        negative_prompt="",
        steps=10,
        guidance_scale=5.0,
        scheduler="DDIM",
        strength=0.2,
    )
    Driven().finish(
        job_request(
            "passes",
            sd1_checkpoint,
            controls=(replace(controls[0], end=0.5),),
            picture=photo,
            strength=1.0,
            further_passes=(second,),
        )
    )
    assert acts == [True, True, False, False, True, False]


def test_a_refiner_goes_on_without_them_and_counts_to_the_end(
    tmp_path: Path, sdxl_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts: list[bool] = []
    predict = StableDiffusion.predict

    def predicting(model: StableDiffusion, batch: Any) -> Any:
        acts.append(bool(batch[0].controls))
        return predict(model, batch)

    monkeypatch.setattr(StableDiffusion, "predict", predicting)
    unet = networks_of(sdxl_checkpoint, xl=True)["unet"]
    control = Control(air="test:1@1", location=write_controlnet(tmp_path / "net", unet), map=EDGES, end=0.5)
    refiner = ModelReference(
        architecture="sdxl", location=write_sdxl_checkpoint(tmp_path / "refiner", refiner=True)
    )
    driven = Driven()
    driven.finish(
        job_request(
            "refined",
            sdxl_checkpoint,
            model=ModelReference(architecture="sdxl", location=sdxl_checkpoint),
            controls=(control,),
            steps=8,
            refiner=Refiner(model=refiner, start_step=6),
        )
    )
    assert driven.finished("refined").steps_run == 8
    assert acts == [True] * 4 + [False] * 4
