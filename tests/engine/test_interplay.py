"""Features that are asked for together: each still acts, and each gives in company what it gives alone."""

from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.checkpoints import photo_like
from tests.checkpoints_xl import write_sdxl_checkpoint
from tests.controlnets import write_controlnet
from tests.diffusion.test_lora import networks_of
from tests.engine.driving import Driven, job_request, worst_difference
from tests.ip_adapters import write_image_encoder, write_ip_adapter
from tests.loras import write_lora
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
)

STRICT_ROWS = 4
WIDTH_PX, HEIGHT_PX = 80, 80
"""Of all pictures; tiles are 64 pixels wide."""
SECOND = Pass(
    prompt="snow", negative_prompt="fog", steps=4, guidance_scale=5.0, scheduler="Euler a", strength=0.6
)
PHOTO: Picture = photo_like(WIDTH_PX, HEIGHT_PX)
MASK = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
MASK[24:64, 8:56] = 255

Change = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Kit:
    """Models, and what each feature adds to a request for them."""

    folder: Path
    base: Change
    features: dict[str, Change]

    def job(self, *names: str, **more: Any) -> JobRequest:
        changes: Change = dict(self.base)
        for name in names:
            changes |= self.features[name]
        return job_request(" + ".join(names) or "plain", self.folder, **{**changes, **more})

    @property
    def pairs(self) -> list[JobRequest]:
        """Every feature with every other, save for those that the API refuses together."""
        refused = {"refiner", "passes"}
        return [self.job(*pair) for pair in combinations(self.features, 2) if set(pair) != refused]


@pytest.fixture(scope="module", params=[4, 9], ids=["ordinary", "inpainting"])
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kit:
    """For SDXL, which has everything that Stable Diffusion has."""
    root = tmp_path_factory.mktemp("interplay")
    folder = write_sdxl_checkpoint(root / "model", in_channels=request.param)
    refiner = write_sdxl_checkpoint(root / "refiner", refiner=True, weights_seed=1)
    vae = (
        write_sdxl_checkpoint(root / "donor", weights_seed=5) / "vae" / "diffusion_pytorch_model.safetensors"
    )
    unet = networks_of(folder)["unet"]
    adapter = ImagePrompt(
        air="test:1@1",
        location=write_ip_adapter(root / "adapter.safetensors", unet),
        encoder=write_image_encoder(root / "encoder"),
        pictures=(photo_like(40, 60),),
    )
    control = Control(
        air="test:4@1",
        location=write_controlnet(root / "controlnet", unet),
        map=photo_like(WIDTH_PX, HEIGHT_PX),
        end=0.7,
    )
    # One name for both: then only their folders tell them apart.
    loras = tuple(
        Addition(
            air=f"test:2@{seed}",
            location=write_lora(root / f"lora{seed}" / "weights.safetensors", {"unet": unet}, seed=seed),
        )
        for seed in (1, 2)
    )
    features: dict[str, Change] = {
        "deepCache": {"deep_cache": DeepCache(interval=3, branch=1)},
        "lora": {"loras": loras},
        "ipAdapters": {"image_prompts": (adapter,)},
        "controlNet": {"controls": (control,)},
        "vae": {"vae": Addition(air="test:3@1", location=vae)},
        "tiles": {"tile_px": 64},
        "passes": {"further_passes": (SECOND,)},
        "mask": {"mask": MASK},
        "maskMargin": {"mask": MASK, "mask_margin_px": 16},
        "refiner": {
            "refiner": Refiner(
                model=ModelReference(architecture="sdxl", location=refiner, name="refiner"), start_step=3
            )
        },
    }
    if request.param == 9:
        # What has nothing to do with masks is tried above.
        for name in ("lora", "ipAdapters", "vae"):
            del features[name]
    base: Change = {
        "model": ModelReference(architecture="sdxl", location=folder),
        "width_px": WIDTH_PX,
        "height_px": HEIGHT_PX,
        "picture": PHOTO,
        "strength": 0.9,
        "steps": 5,
    }
    return Kit(folder=folder, base=base, features=features)


@pytest.fixture(scope="module")
def alone(asked: Kit) -> dict[str, Picture]:
    """Pictures of one feature, of none, and of every pair, each made when nothing else was there."""
    driven = Driven(strict_rows=STRICT_ROWS)
    jobs = [asked.job(), *(asked.job(name) for name in asked.features), *asked.pairs]
    for job in jobs:
        driven.finish(job)
    return {job.job_id: driven.picture(job.job_id) for job in jobs}


def test_each_of_two_features_acts(asked: Kit, alone: dict[str, Picture]) -> None:
    covered = {("mask", "maskMargin"), ("deepCache", "tiles")}
    for pair in asked.pairs:
        names = pair.job_id.split(" + ")
        for name in names:
            same = alone[name].tobytes() == alone[pair.job_id].tobytes()
            # Tiles have no shortcuts, and a margin is of a mask.
            expected = tuple(names) in covered and name in {"tiles", "maskMargin"}
            assert same == expected, f"{pair.job_id} against {name} alone"


def test_company_changes_nothing_to_the_byte(asked: Kit, alone: dict[str, Picture]) -> None:
    driven = Driven(strict_rows=STRICT_ROWS)
    jobs = [asked.job(), *asked.pairs]
    # One that has only the second of the others' LoRAs, and comes first.
    both = asked.features.get("lora", {}).get("loras", ())
    driven.finish(replace(asked.job(), job_id="second lora", loras=both[1:]), *jobs)
    for job in jobs:
        assert driven.picture(job.job_id).tobytes() == alone[job.job_id].tobytes(), job.job_id


def test_what_a_mask_keeps_is_kept(asked: Kit, alone: dict[str, Picture]) -> None:
    for pair in asked.pairs:
        if pair.mask is not None:
            assert (alone[pair.job_id][MASK == 0] == PHOTO[MASK == 0]).all(), pair.job_id


def test_interrupted_pairs_go_on_to_the_same_byte(
    asked: Kit, alone: dict[str, Picture], tmp_path: Path
) -> None:
    """By the disk; those with two models or passes in the second."""
    stateful = {"deepCache", "tiles", "passes", "mask", "refiner"}
    jobs = [
        replace(job, checkpoint=str(number))
        for number, job in enumerate(asked.pairs)
        if set(job.job_id.split(" + ")) <= stateful or job.job_id == "lora + ipAdapters"
    ]
    options: dict[str, Any] = {
        "checkpoints": tmp_path,
        "checkpoint_interval_s": 0.0,
        "strict_rows": STRICT_ROWS,
    }
    for number, job in enumerate(jobs):
        begun = Driven(**options)
        begun.engine.submit([job])
        at = 1 + number % 3
        while begun.engine.busy and not any(event.step >= at for event in begun.progress(job.job_id)):
            begun.engine.tick()
            if job.refiner or job.further_passes:
                at = begun.progress(job.job_id)[-1].steps - 1
        assert begun.engine.busy, "it is interrupted before its end"
        begun.engine.close()
    goes_on = Driven(**options)
    goes_on.finish(*jobs)
    for job in jobs:
        running = [event.step for event in goes_on.progress(job.job_id) if event.stage == "running"]
        assert running[0] >= 1, f"{job.job_id} goes on"
        assert goes_on.picture(job.job_id).tobytes() == alone[job.job_id].tobytes(), job.job_id


def test_what_acts_upon_the_first_model_is_not_for_a_refiner_that_works_alone(asked: Kit) -> None:
    if "lora" not in asked.features:
        pytest.skip("a model without them")
    driven = Driven()
    refiner = asked.features["refiner"]["refiner"].model
    driven.finish(
        asked.job("lora", "ipAdapters", "refiner", strength=0.4),
        asked.job(strength=0.4, model=refiner),
    )
    assert driven.picture("lora + ipAdapters + refiner").tobytes() == driven.picture("plain").tobytes()


@pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_model_leaves_nothing_out_and_says_what_ran(asked: Kit, alone: dict[str, Picture]) -> None:
    driven = Driven(executor="openvino", dtype="float32", strict_rows=STRICT_ROWS)
    plain = ["tiles", "passes", "mask", "vae", "refiner"]
    others = ["deepCache", "lora", "ipAdapters", "controlNet"]
    names = [(name,) for name in (*plain, *others)] + [
        ("lora", "refiner"),
        ("controlNet", "mask"),
        ("deepCache", "tiles"),
    ]
    names = [each for each in names if set(each) <= set(asked.features)]
    jobs = [asked.job(*each) for each in names]
    driven.finish(*jobs)
    for job, each in zip(jobs, names, strict=True):
        assert worst_difference(driven.picture(job.job_id), alone[job.job_id]) <= 1, job.job_id
        # A refiner goes on without LoRAs, and a picture in tiles without DeepCache.
        runs_in = "openvino" if {"refiner", "tiles"} & {*each} or each[0] in plain else "eager"
        assert driven.finished(job.job_id).executor == runs_in, job.job_id


def test_the_precision_that_is_told_is_the_one_that_was_computed_in(flux_checkpoint: Path) -> None:
    driven = Driven(dtype="float16")
    flux = ModelReference(architecture="flux1d", location=flux_checkpoint)
    driven.finish(job_request("flux", flux_checkpoint, model=flux, scheduler="Euler", steps=1))
    assert driven.finished("flux").precision == "bfloat16"


@pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")
def test_a_family_that_is_not_compiled_is_loaded_once_and_in_its_own_precision(
    flux_checkpoint: Path,
) -> None:
    pictures, sizes = [], []
    for executor in ("eager", "openvino"):
        driven = Driven(executor=executor, dtype="bfloat16")
        flux = ModelReference(architecture="flux1d", location=flux_checkpoint)
        driven.finish(job_request("flux", flux_checkpoint, model=flux, scheduler="Euler"))
        assert driven.finished("flux").executor == "eager"
        pictures.append(driven.picture("flux"))
        sizes.append(driven.engine._models._sizes[flux])
    assert pictures[0].tobytes() == pictures[1].tobytes()
    assert sizes[0] == sizes[1]
