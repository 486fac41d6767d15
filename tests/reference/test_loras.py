"""LoRAs through the engine and through diffusers' `load_lora_weights` and `set_adapters`, to 1/255 a channel."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.diffusion.test_lora import networks_of
from tests.loras import Layout, write_lora
from tests.reference.side_by_side import Asked, SideBySide, is_flat, worst_difference
from tests.reference.test_parity import REFERENCES
from underpaint.engine.messages import Picture


def check(both: SideBySide, asked: Asked) -> None:
    """Agreement on a picture that is another one without the LoRAs."""
    ours = both.ours(asked)
    assert worst_difference(ours, both.theirs(asked, REFERENCES[asked.scheduler])) <= 1
    assert worst_difference(ours, both.ours(replace(asked, loras=()))) > 10
    assert not is_flat(ours)


@pytest.fixture(scope="module")
def sd1_networks(sd1_checkpoint: Path) -> dict[str, Any]:
    return networks_of(sd1_checkpoint)


@pytest.mark.parametrize("layout", ["kohya", "diffusers", "attention processors"])
@pytest.mark.parametrize("weight", [1.0, -1.5])
def test_one_matches(
    sd1: SideBySide, sd1_networks: dict[str, Any], tmp_path: Path, layout: Layout, weight: float
) -> None:
    file = write_lora(tmp_path / "lora.safetensors", sd1_networks, layout=layout)
    check(sd1, Asked(loras=((file, weight),)))


def test_several_match(sd1: SideBySide, sd1_networks: dict[str, Any], tmp_path: Path, photo: Picture) -> None:
    """One for everything, one for the UNet alone, one for the text encoder alone."""
    parts = (sd1_networks, {"unet": sd1_networks["unet"]}, {"text_encoder": sd1_networks["text_encoder"]})
    files = [
        write_lora(tmp_path / f"{seed}.safetensors", part, seed=seed, rank=2 + seed)
        for seed, part in enumerate(parts)
    ]
    loras = tuple(zip(files, (0.8, -0.6, 1.4), strict=True))
    check(sd1, Asked(loras=loras))
    check(sd1, Asked(loras=loras, picture=photo, strength=0.6, scheduler="Euler a", guidance_scale=4.0))
    check(sd1, Asked(loras=loras[2:]))


def test_sd2_matches(sd2: SideBySide, sd2_checkpoint: Path, tmp_path: Path) -> None:
    file = write_lora(tmp_path / "lora.safetensors", networks_of(sd2_checkpoint))
    check(sd2, Asked(loras=((file, 1.0),)))


@pytest.mark.parametrize("layout", ["kohya", "diffusers"])
def test_sdxl_matches(
    sdxl: SideBySide, sdxl_checkpoint: Path, tmp_path: Path, photo: Picture, layout: Layout
) -> None:
    networks = networks_of(sdxl_checkpoint, xl=True)
    files = [
        write_lora(tmp_path / f"{seed}.safetensors", networks, layout=layout, seed=seed) for seed in (1, 2)
    ]
    check(sdxl, Asked(loras=((files[0], 1.0), (files[1], 0.5))))
    check(sdxl, Asked(loras=((files[0], -0.7),), picture=photo, strength=0.5))
