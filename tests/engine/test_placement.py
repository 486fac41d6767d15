"""Networks that take turns on the device: that each is there while it computes, alone, and that pictures stay the same.

There is no GPU here: the device is main memory too, and what is tested is who is on it and when.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.diffusion.test_lora import networks_of
from tests.engine.driving import Driven, job_request, worst_difference
from tests.loras import write_lora
from underpaint.diffusion.placement import Turns, bring, placed, taking_turns, turns_of
from underpaint.engine.device import choose_turns
from underpaint.engine.messages import Addition, DeepCache, ModelReference, Picture

CPU = torch.device("cpu")


class WatchedTurns(Turns):
    """Fails what computes with a network that is not on the device, layer by layer, and notes who comes."""

    def __init__(self) -> None:
        super().__init__(CPU)
        self.came: list[str] = []

    def admit(self, network: Any) -> Any:
        def is_there(*_: Any) -> None:
            assert self.is_there(network), f"{type(network).__name__} computes in main memory"

        for layer in network.modules():
            layer.register_forward_pre_hook(is_there)
        return super().admit(network)

    def bring(self, *networks: Any) -> None:
        self.came += [type(each).__name__ for each in networks if not self.is_there(each)]
        super().bring(*networks)
        assert len(self._there) == len(networks)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> WatchedTurns:
    turns = WatchedTurns()
    monkeypatch.setattr("underpaint.engine.engine.choose_turns", lambda *_: turns)
    return turns


def network() -> torch.nn.Module:
    return torch.nn.Linear(1, 1)


def test_one_that_comes_sends_the_others_back() -> None:
    turns, first, second, third = Turns(CPU), network(), network(), network()
    with taking_turns(turns):
        for each in (first, second, third):
            assert placed(each, CPU) is each
            assert turns_of(each) is turns
    bring(first)
    bring(second)
    assert [turns.is_there(each) for each in (first, second, third)] == [False, True, False]
    bring(second, third)
    bring(third, second)
    assert [turns.is_there(each) for each in (first, second, third)] == [False, True, True]
    assert turns.moves == 3


class HalfMoved(torch.nn.Linear):
    """A network that there is no room for, so that half of it comes."""

    def __init__(self) -> None:
        super().__init__(1, 1)
        self.places = {"weight": "main memory", "bias": "main memory"}

    def to(self, device: Any) -> Any:  # type: ignore[override]
        if device == CPU:
            self.places = {"weight": "main memory", "bias": "main memory"}
            return self
        self.places["weight"] = "device"
        raise torch.OutOfMemoryError("tried to allocate more than there is")


def test_one_that_there_is_no_room_for_goes_back_whole() -> None:
    turns, large = Turns(torch.device("meta")), HalfMoved()
    turns.admit(large)
    for _ in range(2):
        with pytest.raises(torch.OutOfMemoryError):
            turns.bring(large)
        assert not turns.is_there(large)
        assert set(large.places.values()) == {"main memory"}
    assert not turns.moves


def test_one_that_is_placed_for_good_is_left_alone() -> None:
    stays = placed(network(), CPU)
    assert turns_of(stays) is None
    bring(stays)


def test_a_device_without_memory_of_its_own_has_no_turns(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert choose_turns(True, CPU) is None
    assert "main memory" in caplog.text
    assert choose_turns(False, torch.device("cuda")) is None
    assert choose_turns(True, torch.device("cuda")) is not None


def test_turns_keep_no_model_in_memory() -> None:
    turns, gone = Turns(CPU), network()
    turns.admit(gone)
    turns.bring(gone)
    del gone
    assert not list(turns._there)


FAMILIES = {
    "sd1x": "sd1_checkpoint",
    "sdxl": "sdxl_checkpoint",
    "flux1d": "flux_checkpoint",
    "sd3": "sd3_checkpoint",
}


@pytest.mark.parametrize("architecture", FAMILIES)
def test_every_family_makes_the_same_pictures_by_turns(
    request: pytest.FixtureRequest, watched: WatchedTurns, photo: Picture, architecture: str
) -> None:
    folder = request.getfixturevalue(FAMILIES[architecture])
    model = ModelReference(architecture=architecture, location=folder)
    wishes = {"model": model, "scheduler": "Euler", "steps": 3}
    requests = [
        job_request("from text", folder, **wishes),
        job_request("from a picture", folder, **{**wishes, "steps": 4}, picture=photo, strength=0.5),
    ]
    by_turns = Driven()
    by_turns.finish(*requests)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("underpaint.engine.engine.choose_turns", lambda *_: None)
        together = Driven()
    together.finish(*requests)
    for job in requests:
        assert worst_difference(by_turns.picture(job.job_id), together.picture(job.job_id)) == 0
    denoiser = next(name for name in watched.came if "UNet" in name or "Transformer" in name)
    # For the passes that both share, and again after the first of the pictures was decoded.
    assert watched.came.count(denoiser) <= 3
    assert watched.came.count("AutoencoderKL") >= 2


def test_what_acts_upon_a_model_goes_where_the_model_computes(
    watched: WatchedTurns, sd1_checkpoint: Path, make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    lora = write_lora(tmp_path / "lora.safetensors", networks_of(sd1_checkpoint))
    vae = make_checkpoint(weights_seed=5) / "vae/diffusion_pytorch_model.safetensors"
    driven = Driven()
    driven.finish(
        job_request("lora", sd1_checkpoint, loras=(Addition(air="lora:1@1", location=lora, weight=0.8),)),
        job_request("vae", sd1_checkpoint, vae=Addition(air="vae:1@1", location=vae)),
        job_request("shortcuts", sd1_checkpoint, steps=6, deep_cache=DeepCache(interval=3, branch=0)),
        job_request("weights", sd1_checkpoint, prompt="a house++", prompt_weighting="compel"),
        job_request("another model", make_checkpoint(weights_seed=7)),
    )
    for name in ("lora", "vae", "shortcuts", "weights", "another model"):
        assert driven.picture(name).std() > 10
