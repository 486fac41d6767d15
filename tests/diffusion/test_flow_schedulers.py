"""Samplers of rectified flows: against the exact solution, and against diffusers' solvers given the same noise levels.

For latents drawn from a normal distribution the flow that a perfect model predicts, and where its path through each
point ends, can be written down; see test_exact_solution.
"""

import copy
import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from tests.checkpoints_flux import FLUX_SCHEDULER, SCHNELL_SCHEDULER
from tests.checkpoints_sd3 import SD3_SCHEDULER
from tests.diffusion.test_exact_solution import SHAPE, SPREAD, Walk
from underpaint.diffusion.flow_schedulers import MultistepOnFlowSchedule
from underpaint.diffusion.quiet import quiet_arithmetic
from underpaint.diffusion.sampler import Sampler, build_scheduler
from underpaint.diffusion.schedulers import FLOW_SCHEDULERS, SchedulerChoice
from underpaint.wire import FLOW_SCHEDULER_NAMES

_NAME = {"_class_name": "FlowMatchEulerDiscreteScheduler"}
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "dev": {**FLUX_SCHEDULER, **_NAME},
    "schnell": {**SCHNELL_SCHEDULER, **_NAME},
    "sd3": {**SD3_SCHEDULER, **_NAME},
}
MU = 0.9


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet_arithmetic():
        yield


def sampler_of(name: str, steps: int, strength: float | None, model: str = "dev") -> Sampler:
    config = CONFIGS[model]
    said = {"sigmas": np.linspace(1.0, 1.0 / steps, steps), "mu": MU} if model != "sd3" else {}
    return Sampler(
        build_scheduler(FLOW_SCHEDULERS[name], config, seed=3),
        steps=steps,
        strength=strength,
        generator=torch.Generator().manual_seed(3),
        schedule=said,
    )


@functools.cache
def walk(name: str, steps: int, strength: float | None, model: str = "dev") -> Walk:
    sampler = sampler_of(name, steps, strength, model)
    if strength is None:
        latents = sampler.start_from_noise(SHAPE)
    else:
        data = torch.randn(SHAPE, generator=torch.Generator().manual_seed(5)) * SPREAD
        latents = sampler.start_from_picture(data)
    end = None
    while sampler.forwards_left:
        sigma = sampler.timestep / 1000
        seen = sampler.model_input(latents)
        variance = ((1 - sigma) * SPREAD) ** 2 + sigma**2
        if end is None:
            end = seen * SPREAD / math.sqrt(variance)
        latents = sampler.step((sigma - (1 - sigma) * SPREAD**2) / variance * seen, latents)
    assert end is not None
    return Walk(float((latents - end).norm() / end.norm()), float(latents.std()))


def _distinct() -> dict[str, SchedulerChoice]:
    chosen: dict[str, SchedulerChoice] = {}
    for name, choice in FLOW_SCHEDULERS.items():
        # What is distilled is right only for models that jump to the end of the path in one step.
        if choice not in chosen.values() and name != "LCM":
            chosen[name] = choice
    return chosen


def _draws_noise(choice: SchedulerChoice) -> bool:
    return "sde" in choice.options.get("algorithm_type", "") or "Ancestral" in (choice.class_name or "")


DETERMINISTIC = [name for name, choice in _distinct().items() if not _draws_noise(choice)]
STOCHASTIC = [name for name, choice in _distinct().items() if _draws_noise(choice)]


def test_the_names_are_those_of_the_api_and_more() -> None:
    assert set(FLOW_SCHEDULER_NAMES) < set(FLOW_SCHEDULERS)
    assert len(FLOW_SCHEDULERS) == 38


@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("strength", [None, 0.5])
def test_deterministic_samplers_approach_the_end_of_the_path(name: str, strength: float | None) -> None:
    coarse, fine = (walk(name, steps, strength).error for steps in (40, 160))
    assert fine < 0.03
    assert fine < coarse / 1.5 or fine < 0.001


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_a_start_from_a_picture_is_as_exact_as_one_from_noise(name: str) -> None:
    assert walk(name, 40, 0.5).error < 1.5 * walk(name, 40, None).error + 0.0035


@pytest.mark.parametrize("name", STOCHASTIC)
@pytest.mark.parametrize("strength", [None, 0.5])
def test_stochastic_samplers_arrive_at_the_distribution(name: str, strength: float | None) -> None:
    assert walk(name, 160, strength).spread == pytest.approx(SPREAD, rel=0.06)


def test_higher_orders_are_nearer() -> None:
    first, second, third = (walk(name, 12, 0.9).error for name in ("DPM++", "DPM++ 2M", "DPM++ 3M"))
    assert third < second < first / 2
    assert walk("Heun", 12, 0.9).error < walk("Euler", 12, 0.9).error / 2
    assert walk("UniPC", 12, 0.9).error < walk("Euler", 12, 0.9).error / 2


def test_dpm_of_first_order_is_euler_s_step_in_other_words() -> None:
    """For flows both follow the line to the predicted picture."""
    assert walk("DPM++", 12, None).error == pytest.approx(walk("Euler", 12, None).error, rel=1e-3)


@pytest.mark.parametrize("model", CONFIGS)
@pytest.mark.parametrize("spacing", ["", " Karras", " Exponential", " Beta"])
def test_every_sampler_goes_through_the_noise_levels_of_euler(model: str, spacing: str) -> None:
    euler = sampler_of(f"Euler{spacing}", 7, None, model)._scheduler.sigmas
    assert euler[0] > 0.99
    assert euler[-1] == 0.0
    for solver in ("DPM++ 2M", "UniPC", "Heun", "Euler a"):
        if f"{solver}{spacing}" in FLOW_SCHEDULERS:
            sampler = sampler_of(f"{solver}{spacing}", 7, None, model)
            passed = torch.unique_consecutive(sampler._scheduler.sigmas)
            torch.testing.assert_close(passed, euler, rtol=0, atol=2e-6)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_solvers_are_diffusers_own(order: int) -> None:
    """Given its noise levels, which begin a little below all noise, and its rounded timesteps."""
    theirs = diffusers.DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0, solver_order=order
    )
    theirs.set_timesteps(9)
    ours = MultistepOnFlowSchedule.from_config(CONFIGS["sd3"], solver_order=order)
    ours.set_timesteps(9)
    assert not torch.allclose(ours.sigmas, theirs.sigmas)
    ours.sigmas = theirs.sigmas
    ends = []
    for scheduler in (ours, theirs):
        walked = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
        for position, timestep in enumerate(scheduler.timesteps):
            if not position:
                scheduler.set_begin_index(0)
            walked = scheduler.step(torch.tanh(walked * 1.3 + 0.2), timestep, walked, return_dict=False)[0]
        ends.append(walked)
    torch.testing.assert_close(*ends)


@pytest.mark.parametrize("name", FLOW_SCHEDULERS)
def test_one_step_of_any_strength_is_finite(name: str) -> None:
    for steps, strength in ((1, None), (1, 0.1), (2, None), (3, 0.4)):
        sampler = sampler_of(name, steps, strength)
        latents = (
            sampler.start_from_noise(SHAPE)
            if strength is None
            else sampler.start_from_picture(torch.ones(SHAPE))
        )
        while sampler.forwards_left:
            latents = sampler.step(torch.tanh(latents), latents)
        assert torch.isfinite(latents).all(), (steps, strength)


@pytest.mark.parametrize("name", ["DPM++ 2M Karras", "UniPC 3M", "Heun", "Euler a"])
def test_a_walk_goes_on_from_its_state(name: str) -> None:
    whole, again = (sampler_of(name, 6, None) for _ in range(2))
    latents = whole.start_from_noise(SHAPE)
    kept = None
    while whole.forwards_left:
        if whole.forwards_left == 3:
            kept = copy.deepcopy(whole.state()), latents
        latents = whole.step(torch.tanh(latents), latents)
    assert kept is not None
    again.restore(kept[0])
    resumed = kept[1]
    while again.forwards_left:
        resumed = again.step(torch.tanh(resumed), resumed)
    assert torch.equal(resumed, latents)
