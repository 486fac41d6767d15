"""IP-Adapters through the engine and through diffusers' `load_ip_adapter`, to 1/255 a channel."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.checkpoints import photo_like
from tests.diffusion.test_lora import networks_of
from tests.ip_adapters import Kind, write_image_encoder, write_ip_adapter
from tests.reference.side_by_side import Asked, SideBySide, is_flat, worst_difference
from tests.reference.test_parity import REFERENCES
from underpaint.engine.messages import ImagePrompt, Picture

GUIDE = photo_like(90, 50)
OTHER_GUIDE = np.ascontiguousarray(photo_like(48, 64)[::-1, :, ::-1])


def check(both: SideBySide, asked: Asked) -> None:
    """Agreement on a picture that is another one without the adapters, and another with other guides."""
    ours = both.ours(asked)
    assert worst_difference(ours, both.theirs(asked, REFERENCES[asked.scheduler])) <= 1
    assert worst_difference(ours, both.ours(replace(asked, image_prompts=()))) > 10
    turned = tuple(
        replace(prompt, pictures=tuple(255 - picture for picture in prompt.pictures))
        for prompt in asked.image_prompts
    )
    assert worst_difference(ours, both.ours(replace(asked, image_prompts=turned))) > 2
    assert not is_flat(ours)


def adapters_in(folder: Path, unet: Any) -> dict[Kind, ImagePrompt]:
    """One of each kind, led by one picture, as strong as it is."""
    encoder = write_image_encoder(folder / "image_encoder")
    kinds: tuple[Kind, ...] = ("plain", "plus", "full")
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
def sd1_adapters(
    sd1_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[Kind, ImagePrompt]:
    return adapters_in(tmp_path_factory.mktemp("sd1"), networks_of(sd1_checkpoint)["unet"])


@pytest.fixture(scope="module")
def sdxl_adapters(
    sdxl_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[Kind, ImagePrompt]:
    return adapters_in(tmp_path_factory.mktemp("sdxl"), networks_of(sdxl_checkpoint, xl=True)["unet"])


@pytest.mark.parametrize("kind", ["plain", "plus", "full"])
def test_one_matches(sd1: SideBySide, sd1_adapters: Mapping[Kind, ImagePrompt], kind: Kind) -> None:
    check(sd1, Asked(image_prompts=(sd1_adapters[kind],)))


@pytest.mark.parametrize("weight", [0.4, 1.0, -0.5])
def test_the_weight_is_diffusers_scale_where_it_acts_on_values_only(
    sd1: SideBySide, sd1_adapters: Mapping[Kind, ImagePrompt], weight: float
) -> None:
    check(sd1, Asked(image_prompts=(replace(sd1_adapters["plain"], weight=weight, scaling="only_v"),)))


def test_two_match(sd1: SideBySide, sd1_adapters: Mapping[Kind, ImagePrompt], photo: Picture) -> None:
    both = (
        replace(sd1_adapters["plain"], weight=0.7, scaling="only_v"),
        replace(sd1_adapters["plus"], weight=0.4, scaling="only_v", pictures=(OTHER_GUIDE,)),
    )
    check(sd1, Asked(image_prompts=both))
    check(sd1, Asked(image_prompts=both, picture=photo, strength=0.6, scheduler="Euler a"))
    check(sd1, Asked(image_prompts=both, guidance_scale=1.0))


def test_one_adapter_twice_matches(sd1: SideBySide, sd1_adapters: Mapping[Kind, ImagePrompt]) -> None:
    one = replace(sd1_adapters["plain"], scaling="only_v", weight=0.5)
    check(sd1, Asked(image_prompts=(one, replace(one, weight=0.8, pictures=(OTHER_GUIDE,)))))


@pytest.mark.parametrize("kind", ["plain", "plus"])
def test_several_pictures_match(
    sd1: SideBySide, sd1_adapters: Mapping[Kind, ImagePrompt], kind: Kind
) -> None:
    check(sd1, Asked(image_prompts=(replace(sd1_adapters[kind], pictures=(GUIDE, OTHER_GUIDE)),)))


def test_sdxl_matches(sdxl: SideBySide, sdxl_adapters: Mapping[Kind, ImagePrompt], photo: Picture) -> None:
    plain, plus = sdxl_adapters["plain"], sdxl_adapters["plus"]
    check(sdxl, Asked(image_prompts=(plain,)))
    both = (
        replace(plain, weight=0.6, scaling="only_v"),
        replace(plus, weight=0.5, scaling="only_v", pictures=(OTHER_GUIDE, GUIDE)),
    )
    check(sdxl, Asked(image_prompts=both, picture=photo, strength=0.7))
