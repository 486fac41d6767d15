"""Every sampler against the exact solution, for data whose best possible model is known in closed form.

For latents drawn from a normal distribution the noise that a perfect model predicts, and the path of the probability
flow ODE (Song et al., arXiv:2011.13456, Eq. 13) through each point, can be written down. A deterministic sampler has to
arrive where that path ends, the nearer the more steps it takes, wherever it begins; a stochastic one at the right
distribution.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from tests.checkpoints import SD1_SCHEDULER, SD2_SCHEDULER
from underpaint.diffusion.sampler import Sampler, build_scheduler
from underpaint.diffusion.schedulers import STABLE_DIFFUSION_SCHEDULERS, SchedulerChoice

SPREAD = 0.8
"""Standard deviation of the data."""
SHAPE = (1, 4, 24, 24)
ALPHAS = DDPMScheduler.from_config(SD1_SCHEDULER).alphas_cumprod.double().numpy()
NOISE_LEVELS = np.sqrt((1.0 - ALPHAS) / ALPHAS)

FOR_DISTILLED_MODELS = {"LCMScheduler", "TCDScheduler"}
"""Right only for models that jump to the end of the path in one step."""


class Walk(NamedTuple):
    """What came of one."""

    error: float
    """Distance from where the path ends, in parts of its size."""
    spread: float
    """Standard deviation of what came out."""


@functools.cache
def walk(name: str, steps: int, strength: float | None, *, predicts_v: bool = False) -> Walk:
    config: Mapping[str, Any] = SD2_SCHEDULER if predicts_v else SD1_SCHEDULER
    generator = torch.Generator().manual_seed(3)
    scheduler = build_scheduler(STABLE_DIFFUSION_SCHEDULERS[name], config, seed=3)
    sampler = Sampler(scheduler, steps=steps, strength=strength, generator=generator)
    if strength is None:
        latents = sampler.start_from_noise(SHAPE)
    else:
        latents = sampler.start_from_picture(torch.randn(SHAPE, generator=generator) * SPREAD)
    end = None
    while sampler.forwards_left:
        level = float(np.interp(sampler.timestep, np.arange(len(NOISE_LEVELS)), NOISE_LEVELS))
        signal, noise = 1.0 / np.hypot(1.0, level), level / np.hypot(1.0, level)
        seen = sampler.model_input(latents)
        variance = (signal * SPREAD) ** 2 + noise**2
        if end is None:
            end = seen * SPREAD / variance**0.5
        epsilon = seen * noise / variance
        clean = (seen - noise * epsilon) / signal
        latents = sampler.step(signal * epsilon - noise * clean if predicts_v else epsilon, latents)
    assert end is not None
    return Walk(float((latents - end).norm() / end.norm()), float(latents.std()))


def _distinct() -> dict[str, SchedulerChoice]:
    """One name for each sampler."""
    chosen: dict[str, SchedulerChoice] = {}
    for name, choice in STABLE_DIFFUSION_SCHEDULERS.items():
        if choice not in chosen.values() and choice.class_name not in FOR_DISTILLED_MODELS:
            chosen[name] = choice
    return chosen


def _draws_noise(choice: SchedulerChoice) -> bool:
    return "sde" in choice.options.get("algorithm_type", "") or any(
        part in (choice.class_name or "") for part in ("DDPM", "Ancestral", "SDE")
    )


DETERMINISTIC = [name for name, choice in _distinct().items() if not _draws_noise(choice)]
STOCHASTIC = [name for name, choice in _distinct().items() if _draws_noise(choice)]


@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("strength", [None, 0.5])
def test_deterministic_samplers_approach_the_end_of_the_path(name: str, strength: float | None) -> None:
    coarse, fine = (walk(name, steps, strength).error for steps in (40, 160))
    assert fine < 0.03
    assert fine < coarse / 1.5 or fine < 0.001


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_a_start_from_a_picture_is_as_exact_as_one_from_noise(name: str) -> None:
    """A sampler of higher order that takes its first steps in the middle of the schedule for later ones is not."""
    assert walk(name, 40, 0.5).error < 1.5 * walk(name, 40, None).error + 0.0035


@pytest.mark.parametrize("name", STOCHASTIC)
@pytest.mark.parametrize("strength", [None, 0.5])
def test_stochastic_samplers_arrive_at_the_distribution(name: str, strength: float | None) -> None:
    assert walk(name, 160, strength).spread == pytest.approx(SPREAD, rel=0.06)


@pytest.mark.parametrize("name", [*DETERMINISTIC, *STOCHASTIC])
def test_what_the_model_predicts_makes_no_difference(name: str) -> None:
    v = walk(name, 40, 0.5, predicts_v=True)
    epsilon = walk("DDIM" if name == "Default" else name, 40, 0.5)  # The default of SD 2 is DDIM.
    # Some round the timestep that the model is given, which weighs differently in the two; PNDM averages v itself.
    assert tuple(v) == pytest.approx(tuple(epsilon), abs=0.03)
