from collections.abc import Iterator

import diffusers
import pytest
import torch
from torch import Tensor

from tests.checkpoints import SD1_SCHEDULER, SD2_SCHEDULER
from underpaint.diffusion.quiet import quiet_arithmetic
from underpaint.diffusion.sampler import build_scheduler
from underpaint.diffusion.scheduler_classes import (
    EDMEulerOnTrainedSchedule,
    LMSFromAnyStep,
    PNDMFromAnyStep,
    scheduler_class,
)
from underpaint.diffusion.schedulers import STABLE_DIFFUSION_SCHEDULERS

LATENTS = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet_arithmetic():
        yield


def predicted(scaled: Tensor) -> Tensor:
    return torch.tanh(scaled * 1.3 + 0.2)


def test_ours_go_before_diffusers_own() -> None:
    assert scheduler_class("LMSDiscreteScheduler", trained_for=None) is LMSFromAnyStep
    assert scheduler_class("PNDMScheduler", trained_for="PNDMScheduler") is PNDMFromAnyStep
    assert scheduler_class("EDMEulerScheduler", trained_for="PNDMScheduler") is EDMEulerOnTrainedSchedule
    assert scheduler_class("HeunDiscreteScheduler", trained_for=None) is diffusers.HeunDiscreteScheduler


@pytest.mark.parametrize("name", ["EDMEulerScheduler", "EDMDPMSolverMultistepScheduler", "IPNDMScheduler"])
def test_models_that_were_trained_for_a_class_get_it_as_it_is(name: str) -> None:
    assert scheduler_class(name, trained_for=name) is getattr(diffusers, name)


@pytest.mark.parametrize("name", ["IPNDMScheduler", "IPNDM Uniform Karras", "IPNDM Uniform Beta"])
def test_ipndm_is_diffusers_given_the_models_noise_levels(name: str) -> None:
    """diffusers' class takes signal, noise and predictions of v; given those of these levels, it goes the same way."""
    ours = build_scheduler(STABLE_DIFFUSION_SCHEDULERS[name], SD1_SCHEDULER, seed=0)
    theirs = diffusers.IPNDMScheduler()
    ours.set_timesteps(12)
    theirs.set_timesteps(12)
    levels = ours.sigmas.double()
    theirs.alphas = 1.0 / torch.sqrt(1.0 + levels**2)
    theirs.betas = levels * theirs.alphas
    mine = LATENTS * ours.init_noise_sigma
    other = mine.double() * theirs.alphas[0]
    for position, timestep in enumerate(ours.timesteps):
        epsilon = predicted(ours.scale_model_input(mine, timestep))
        mine = ours.step(epsilon, timestep, mine)[0]
        signal, noise = theirs.alphas[position], theirs.betas[position]
        epsilon = predicted(other)
        v = (epsilon - noise * other) / signal
        other = theirs.step(v, theirs.timesteps[position], other).prev_sample
    torch.testing.assert_close(mine, other.float(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "twin"),
    [("EDMEulerScheduler", "Euler Karras"), ("EDMDPMSolverMultistepScheduler", "DPM++ 2M Karras")],
)
@pytest.mark.parametrize("config", [SD1_SCHEDULER, SD2_SCHEDULER], ids=["epsilon", "v"])
def test_edm_on_a_models_noise_levels_is_the_same_solver_on_karras_sigmas(
    name: str, twin: str, config: dict[str, object]
) -> None:
    edm, karras = (
        build_scheduler(STABLE_DIFFUSION_SCHEDULERS[asked], config, seed=0) for asked in (name, twin)
    )
    ends = []
    for scheduler in (edm, karras):
        scheduler.set_timesteps(9)
        scheduler.set_begin_index(3)
        walked = scheduler.add_noise(torch.full(LATENTS.shape, 0.5), LATENTS, scheduler.timesteps[3:4])
        for timestep in scheduler.timesteps[3:]:
            output = predicted(scheduler.scale_model_input(walked, timestep))
            walked = scheduler.step(output, timestep, walked, return_dict=False)[0]
        ends.append(walked)
    torch.testing.assert_close(*ends, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(
        edm.timesteps, karras.timesteps.to(edm.timesteps.dtype), rtol=0.0, atol=0.51
    )  # The twins' are rounded.


def test_pndm_evaluates_its_first_step_at_both_ends_wherever_it_begins() -> None:
    scheduler = build_scheduler(STABLE_DIFFUSION_SCHEDULERS["PNDMScheduler"], SD1_SCHEDULER, seed=0)
    scheduler.set_timesteps(5)
    for begin, timesteps in {0: [801, 601, 601, 401, 201, 1], 2: [401, 201, 201, 1], 4: [1]}.items():
        scheduler.set_begin_index(begin)
        assert scheduler.timesteps[begin:].tolist() == timesteps


def test_pndm_with_runge_kutta_steps_begins_in_the_middle_without_them() -> None:
    choice = STABLE_DIFFUSION_SCHEDULERS["Default"]
    scheduler = build_scheduler(choice, {**SD1_SCHEDULER, "skip_prk_steps": False}, seed=0)
    scheduler.set_timesteps(10)
    scheduler.set_begin_index(0)
    assert len(scheduler.timesteps) > 11
    scheduler.set_begin_index(7)
    assert scheduler.timesteps[7:].tolist() == [201, 101, 101, 1]
