"""Jobs with unlike IP-Adapters on one model: in one batch, nothing loaded twice, each as if it were alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from tests.checkpoints import photo_like
from tests.diffusion.test_lora import networks_of
from tests.ip_adapters import Kind, write_image_encoder, write_ip_adapter
from tests.loras import write_lora
from underpaint.diffusion.image_encoder import ImageEncoder
from underpaint.diffusion.stable_diffusion import StableDiffusion
from underpaint.engine import models as models_module
from underpaint.engine.messages import Addition, ImagePrompt, JobRequest, Picture, RequestPart

from .driving import Driven, job_request, worst_difference

GUIDE, OTHER_GUIDE = photo_like(40, 60), 255 - photo_like(64, 64)


@pytest.fixture(scope="module")
def unet(sd1_checkpoint: Path) -> Any:
    return networks_of(sd1_checkpoint)["unet"]


@pytest.fixture(scope="module")
def adapters(unet: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, ImagePrompt]:
    folder = tmp_path_factory.mktemp("adapters")
    encoder = write_image_encoder(folder / "image_encoder")
    kinds: tuple[Kind, ...] = ("plain", "plus")
    return {
        kind: ImagePrompt(
            air="test:1@1",
            location=write_ip_adapter(folder / f"{kind}.safetensors", unet, kind=kind, seed=seed),
            encoder=encoder,
            pictures=(GUIDE,),
        )
        for seed, kind in enumerate(kinds)
    }


@pytest.fixture(scope="module")
def lora(unet: Any, tmp_path_factory: pytest.TempPathFactory) -> Addition:
    file = write_lora(tmp_path_factory.mktemp("lora") / "lora.safetensors", {"unet": unet})
    return Addition(air="test:2@1", location=file, weight=1.0)


def unlike(
    folder: Path, adapters: dict[Kind, ImagePrompt], lora: Addition, photo: Picture
) -> list[JobRequest]:
    plain, plus = adapters["plain"], adapters["plus"]
    wishes: dict[str, dict[str, Any]] = {
        "none": {},
        "one": {"image_prompts": (plain,)},
        "weaker": {"image_prompts": (replace(plain, weight=0.3),), "picture": photo, "strength": 0.6},
        "values": {"image_prompts": (replace(plain, weight=0.3, scaling="only_v"),)},
        "eased": {"image_prompts": (replace(plain, weight_type="ease_in"),), "scheduler": "Euler a"},
        "two": {"image_prompts": (replace(plain, pictures=(OTHER_GUIDE,)), replace(plus, weight=-0.4))},
        "twice": {"image_prompts": (plain, replace(plain, pictures=(OTHER_GUIDE, GUIDE)))},
        "with a lora": {"image_prompts": (plus,), "loras": (lora,)},
        "unguided": {"image_prompts": (plus,), "guidance_scale": 1.0},
    }
    return [job_request(name, folder, **each) for name, each in wishes.items()]


def test_together_each_gives_what_it_gives_alone(
    sd1_checkpoint: Path, adapters: dict[Kind, ImagePrompt], lora: Addition, photo: Picture
) -> None:
    requests = unlike(sd1_checkpoint, adapters, lora, photo)
    together, alone = Driven(max_rows=20), Driven()
    together.finish(*requests)
    for request in requests:
        alone.finish(request)
        assert worst_difference(together.picture(request.job_id), alone.picture(request.job_id)) <= 1
    for one, other in (("one", "none"), ("eased", "one"), ("twice", "one"), ("values", "none")):
        assert worst_difference(alone.picture(one), alone.picture(other)) > 5


def test_under_strict_determinism_to_the_byte(
    sd1_checkpoint: Path, adapters: dict[Kind, ImagePrompt], lora: Addition, photo: Picture
) -> None:
    requests = unlike(sd1_checkpoint, adapters, lora, photo)
    together, alone = Driven(strict_rows=4), Driven(strict_rows=4)
    together.finish(*requests)
    for request in requests:
        alone.finish(request)
        assert together.picture(request.job_id).tobytes() == alone.picture(request.job_id).tobytes()


def test_they_share_passes_and_nothing_is_done_twice(
    sd1_checkpoint: Path, adapters: dict[Kind, ImagePrompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    done: list[Any] = []
    predict, load, encode = StableDiffusion.predict, StableDiffusion.load_ip_adapter, ImageEncoder.encode
    load_encoder = StableDiffusion.load_image_encoder

    def predicting(model: StableDiffusion, batch: Any) -> Any:
        rows.append(len(batch))
        return predict(model, batch)

    def loading(model: StableDiffusion, location: Path) -> Any:
        done.append(location)
        return load(model, location)

    def loading_encoder(model: StableDiffusion, folder: Path) -> Any:
        done.append(folder)
        return load_encoder(model, folder)

    def encoding(encoder: ImageEncoder, picture: Any, *, layer: bool) -> Any:
        done.append("a picture" if picture is not None else "none")
        return encode(encoder, picture, layer=layer)

    monkeypatch.setattr(StableDiffusion, "predict", predicting)
    monkeypatch.setattr(StableDiffusion, "load_ip_adapter", loading)
    monkeypatch.setattr(StableDiffusion, "load_image_encoder", loading_encoder)
    monkeypatch.setattr(ImageEncoder, "encode", encoding)
    plain = adapters["plain"]
    same = replace(plain, weight=0.5, pictures=(GUIDE.copy(),))
    driven = Driven(max_rows=6)
    driven.finish(
        job_request("none", sd1_checkpoint),
        job_request("one", sd1_checkpoint, image_prompts=(plain,)),
        job_request("another weight", sd1_checkpoint, image_prompts=(same,)),
    )
    driven.finish(job_request("later", sd1_checkpoint, image_prompts=(same,)))

    assert rows == [6] * 4 + [2] * 4
    assert done == [plain.location, plain.encoder, "a picture", "none"]


def test_what_cannot_be_used_fails_its_job_alone(
    sd1_checkpoint: Path, adapters: dict[Kind, ImagePrompt], tmp_path: Path
) -> None:
    plain = adapters["plain"]
    broken, short = tmp_path / "broken.safetensors", tmp_path / "short.safetensors"
    broken.write_bytes(plain.location.read_bytes()[:-8])
    tensors = load_file(plain.location)
    save_file({name: part for name, part in tensors.items() if not name.startswith("ip_adapter.1.")}, short)
    long = tmp_path / "long.safetensors"
    save_file(
        {**tensors, "ip_adapter.99.to_k_ip.weight": tensors["ip_adapter.1.to_k_ip.weight"].clone()}, long
    )
    other_encoder = write_image_encoder(tmp_path / "other_encoder", width=40)
    culprits = {
        "broken": (replace(plain, location=broken), "broken.safetensors"),
        "short": (replace(plain, location=short), "short.safetensors"),
        "long": (replace(plain, location=long), "long.safetensors"),
        "no encoder": (replace(plain, encoder=tmp_path / "missing"), "missing"),
        "another encoder": (replace(plain, encoder=other_encoder), "other_encoder"),
        "no such layers": (replace(plain, weight_type="style_transfer"), "style_transfer"),
    }
    driven = Driven()
    driven.finish(
        *(
            job_request(name, sd1_checkpoint, image_prompts=(prompt,))
            for name, (prompt, _) in culprits.items()
        ),
        job_request("whole", sd1_checkpoint, image_prompts=(plain,)),
    )
    for name, (_, said) in culprits.items():
        assert driven.failed(name).code == "modelLoad", name
        assert driven.failed(name).part == RequestPart("image_prompts", 0)
        assert said in driven.failed(name).message
        assert str(tmp_path) not in driven.failed(name).message
    assert driven.finished("whole").steps_run == 4


def test_a_family_without_them_says_so(flux_checkpoint: Path, adapters: dict[Kind, ImagePrompt]) -> None:
    from underpaint.engine.messages import ModelReference

    driven = Driven()
    flux = ModelReference(architecture="flux1d", location=flux_checkpoint)
    driven.finish(
        job_request(
            "flux", flux_checkpoint, model=flux, image_prompts=(adapters["plain"],), scheduler="Default"
        )
    )
    assert driven.failed("flux").code == "modelLoad"


def test_adapters_are_dropped_with_their_model(
    sd1_checkpoint: Path, sd2_checkpoint: Path, adapters: dict[Kind, ImagePrompt]
) -> None:
    driven = Driven(models_bytes=0)
    driven.finish(job_request("one", sd1_checkpoint, image_prompts=(adapters["plain"],)))
    kept = driven.engine._additions._loaded
    assert {key[0] for key in kept._values} == {"ip-adapter", "image encoder"}
    driven.finish(job_request("other model", sd2_checkpoint))
    assert {key[0] for key in kept._values} == {"image encoder"}


def test_a_large_encoder_stays_for_new_guides_until_its_memory_is_needed(
    sd1_checkpoint: Path, adapters: dict[Kind, ImagePrompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with published adapters: the encoder alone is more than the budget."""
    loaded: list[Path] = []
    load_encoder = StableDiffusion.load_image_encoder

    def loading(model: StableDiffusion, folder: Path) -> Any:
        loaded.append(folder)
        return load_encoder(model, folder)

    monkeypatch.setattr(StableDiffusion, "load_image_encoder", loading)
    plain = adapters["plain"]
    driven = Driven(additions_bytes=1000)
    for shift in range(3):
        guide = replace(plain, pictures=(np.roll(GUIDE, shift, axis=0),))
        driven.finish(job_request(f"guide {shift}", sd1_checkpoint, image_prompts=(guide,)))
    assert loaded == [plain.encoder]
    assert driven.engine._additions.release()
    assert not driven.engine._additions.release()
    driven.finish(
        job_request("after", sd1_checkpoint, image_prompts=(replace(plain, pictures=(OTHER_GUIDE,)),))
    )
    assert loaded == [plain.encoder] * 2


def test_where_memory_is_short_what_acts_upon_models_goes_before_them(
    sd1_checkpoint: Path,
    sd2_checkpoint: Path,
    adapters: dict[Kind, ImagePrompt],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driven = Driven()
    driven.finish(job_request("one", sd1_checkpoint, image_prompts=(adapters["plain"],)))
    free = iter([2**40, 0, *[2**40] * 20])
    monkeypatch.setattr(models_module, "free_bytes", lambda device: next(free))
    next(free)
    driven.finish(job_request("another model", sd2_checkpoint))
    assert len(driven.engine._models.names) == 2
    assert driven.engine._additions._loaded.size_bytes == 0


def test_a_combination_is_of_what_the_encoder_makes(
    sd1_checkpoint: Path, adapters: dict[Kind, ImagePrompt]
) -> None:
    """The average of one picture twice is the picture; what is left of it without itself is not."""
    driven = Driven()
    one = adapters["plain"]
    twice = replace(one, pictures=(GUIDE, GUIDE))
    mixed = replace(one, pictures=(GUIDE, OTHER_GUIDE))
    prompts = {
        "one": one,
        "average of equals": replace(twice, combination="average"),
        "both": mixed,
        "average": replace(mixed, combination="average"),
        "sum": replace(mixed, combination="add"),
        "difference": replace(mixed, combination="subtract"),
        "norm": replace(mixed, combination="norm_average"),
        "difference of one": replace(one, combination="subtract"),
    }
    driven.finish(
        *(job_request(name, sd1_checkpoint, image_prompts=(each,)) for name, each in prompts.items())
    )
    pictures = {name: driven.picture(name) for name in prompts}
    assert worst_difference(pictures["one"], pictures["average of equals"]) <= 1
    assert worst_difference(pictures["one"], pictures["difference of one"]) <= 1
    distinct = ("one", "both", "average", "sum", "difference", "norm")
    for at, name in enumerate(distinct):
        for other in distinct[at + 1 :]:
            assert worst_difference(pictures[name], pictures[other]) > 1, (name, other)
