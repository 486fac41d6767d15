import json
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.checkpoints import EMBEDDED_CHECKPOINT, SD1_SCHEDULER, SD2_SCHEDULER
from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.diffusion.plain_state import PlainState
from underpaint.diffusion.sampler import Sampler, build_scheduler
from underpaint.diffusion.schedulers import STABLE_DIFFUSION_SCHEDULERS, SchedulerChoice

SHAPE = (1, 4, 4, 4)
ALL_SCHEDULERS = {
    f"{name} as {choice.class_name}": choice
    for family in FAMILY_OF_ARCHITECTURE.values()
    for name, choice in family.schedulers.items()
}
"""Of every family: none may hold a state that cannot be kept."""
EMBEDDED_SCHEDULER = json.loads((EMBEDDED_CHECKPOINT / "scheduler/scheduler_config.json").read_text())


def make_sampler(
    name: str,
    *,
    steps: int,
    strength: float | None,
    config: Mapping[str, Any] = SD1_SCHEDULER,
    seed: int = 1,
    choice: SchedulerChoice | None = None,
) -> tuple[Sampler, Tensor]:
    """A sampler and the latents that it starts from."""
    generator = torch.Generator().manual_seed(seed)
    scheduler = build_scheduler(choice or STABLE_DIFFUSION_SCHEDULERS[name], config, seed=seed)
    sampler = Sampler(scheduler, steps=steps, strength=strength, generator=generator)
    if strength is None:
        return sampler, sampler.start_from_noise(SHAPE)
    return sampler, sampler.start_from_picture(torch.full(SHAPE, 0.5))


def walk(sampler: Sampler, latents: Tensor) -> Tensor:
    """All the way down, with a stand-in for the model that depends on what it is given."""
    while sampler.forwards_left:
        latents = sampler.step(torch.tanh(sampler.model_input(latents)), latents)
    return latents


@pytest.mark.parametrize("name", STABLE_DIFFUSION_SCHEDULERS)
def test_every_name_walks_text_and_pictures_down_to_finite_latents(name: str) -> None:
    for steps in (1, 4, 51):
        for strength in (None, 0.5):
            sampler, latents = make_sampler(name, steps=steps, strength=strength)
            assert sampler.forwards == sampler.forwards_left >= sampler.steps
            assert torch.isfinite(walk(sampler, latents)).all()
            assert sampler.steps_done == sampler.steps


@pytest.mark.parametrize("name", STABLE_DIFFUSION_SCHEDULERS)
@pytest.mark.parametrize("config", [SD2_SCHEDULER, EMBEDDED_SCHEDULER], ids=["sd2", "embedded"])
def test_every_name_works_with_models_that_predict_v(name: str, config: Mapping[str, Any]) -> None:
    for strength in (None, 0.5):
        sampler, latents = make_sampler(name, steps=8, strength=strength, config=config)
        assert torch.isfinite(walk(sampler, latents)).all()


@pytest.mark.parametrize("choice", ALL_SCHEDULERS.values(), ids=ALL_SCHEDULERS)
def test_a_walk_that_is_interrupted_anywhere_ends_as_if_it_were_not(choice: SchedulerChoice) -> None:
    for strength in (None, 0.7):
        sampler, latents = make_sampler("", steps=5, strength=strength, choice=choice)
        kept = []
        while sampler.forwards_left:
            kept.append(PlainState.of((latents, sampler.state())).to_bytes())
            latents = sampler.step(torch.tanh(sampler.model_input(latents)), latents)

        for forwards, data in enumerate(kept):
            resumed, _ = make_sampler("", steps=5, strength=strength, choice=choice)
            left, state = PlainState.from_bytes(data).value()
            resumed.restore(state)
            assert resumed.forwards - resumed.forwards_left == forwards
            assert torch.equal(walk(resumed, left), latents), forwards


@pytest.mark.parametrize("name", STABLE_DIFFUSION_SCHEDULERS)
def test_the_seed_decides_everything(name: str) -> None:
    first, again, other = (walk(*make_sampler(name, steps=4, strength=0.5, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", ["DDIM", "Heun", "PNDMScheduler", "DPM++ 2M SDE Karras", "UniPC"])
def test_samplers_side_by_side_do_not_disturb_each_other(name: str) -> None:
    alone = walk(*make_sampler(name, steps=6, strength=1.0))
    sampler, latents = make_sampler(name, steps=6, strength=1.0)
    other, other_latents = make_sampler(name, steps=9, strength=0.4, seed=5)
    while sampler.forwards_left:
        latents = sampler.step(torch.tanh(sampler.model_input(latents)), latents)
        if other.forwards_left:
            other_latents = other.step(torch.tanh(other.model_input(other_latents)), other_latents)
    assert torch.equal(latents, alone)


@pytest.mark.parametrize("name", ["Heun", "KDPM2DiscreteScheduler", "DPM++ SDE", "PNDMScheduler", "Euler"])
@pytest.mark.parametrize("strength", [None, 0.05, 0.5])
def test_steps_are_counted_up_to_their_number_whatever_the_order(name: str, strength: float | None) -> None:
    sampler, latents = make_sampler(name, steps=10, strength=strength)
    seen = [sampler.steps_done]
    while sampler.forwards_left:
        latents = sampler.step(torch.zeros(SHAPE), sampler.model_input(latents))
        seen.append(sampler.steps_done)
    assert seen[0] == 0
    assert seen == sorted(seen)
    assert seen[-1] == sampler.steps == {None: 10, 0.05: 1, 0.5: 5}[strength]


def test_less_strength_starts_nearer_to_the_picture() -> None:
    distances = []
    for strength in (0.1, 0.4, 0.7, 1.0):
        sampler, latents = make_sampler("DDIM", steps=50, strength=strength)
        distances.append(float((latents - 0.5).abs().mean()))
        assert sampler.timestep < 1000 * strength + 20
    assert distances == sorted(distances)


def test_sigmas_that_share_a_timestep_are_all_visited() -> None:
    """Beta spacing puts sigmas so close together that two of them round to one timestep, which schedulers that look
    their first timestep up take for the second.
    """
    sampler, latents = make_sampler("DPM++ 2M Beta", steps=100, strength=None)
    assert sampler.forwards == 100
    assert torch.isfinite(walk(sampler, latents)).all()


def test_the_requests_spacing_of_sigmas_replaces_the_models() -> None:
    configured = {**SD1_SCHEDULER, "_class_name": "EulerDiscreteScheduler", "use_karras_sigmas": True}
    plain = build_scheduler(STABLE_DIFFUSION_SCHEDULERS["Euler Beta"], configured, seed=0)
    assert plain.config.use_beta_sigmas
    assert not plain.config.use_karras_sigmas


def test_default_keeps_the_models_own_class() -> None:
    scheduler = build_scheduler(STABLE_DIFFUSION_SCHEDULERS["Default"], SD2_SCHEDULER, seed=0)
    assert type(scheduler).__name__ == "DDIMScheduler"
    assert scheduler.config.prediction_type == "v_prediction"


def test_the_noise_of_a_seed_is_the_same_on_every_machine() -> None:
    """Drawn on the CPU, whatever the model runs on: these numbers were drawn once, and are what pictures began with."""
    sampler, first = make_sampler("DDIM", steps=4, strength=None, seed=7)
    second = sampler.draw_noise(SHAPE)
    assert first.flatten()[:4].tolist() == pytest.approx(
        [-0.8201345, 0.3956312, 0.8989085, -1.3884039], abs=1e-5
    )
    assert second.flatten()[:4].tolist() == pytest.approx(
        [0.1332398, 0.1825454, -0.5146323, 0.8005188], abs=1e-5
    )
