"""The perceptual curve of strength: where it begins, in the model's own schedule."""

import math

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from tests.checkpoints import SD1_SCHEDULER
from tests.checkpoints_flux import FLUX_SCHEDULER, SCHNELL_SCHEDULER
from tests.checkpoints_sd3 import SD3_SCHEDULER
from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.diffusion.sampler import Sampler, build_scheduler
from underpaint.diffusion.schedulers import FLOW_SCHEDULERS
from underpaint.diffusion.strength_curve import FlowLevels, noise_to_signal, perceptual_share

SIZES = ((1024, 1024), (512, 512), (2048, 1024))


def test_the_ratios_are_those_of_stable_diffusion() -> None:
    signal = DDPMScheduler.from_config(SD1_SCHEDULER).alphas_cumprod.double()
    for strength in (0.1, 0.5, 0.801, 1.0):
        expected = signal[round(strength * 1000) - 1]
        assert noise_to_signal(strength) == pytest.approx(float(((1 - expected) / expected).sqrt()), rel=1e-4)


@pytest.mark.parametrize("architecture", ["flux1d", "flux1s", "sd3"])
@pytest.mark.parametrize(("width_px", "height_px"), SIZES)
def test_it_rises_from_nothing_to_all(architecture: str, width_px: int, height_px: int) -> None:
    levels = FAMILY_OF_ARCHITECTURE[architecture].flow_levels
    assert levels is not None
    shares = [
        perceptual_share(percent / 100, levels, width_px=width_px, height_px=height_px)
        for percent in range(101)
    ]
    assert shares == sorted(set(shares))
    assert (shares[0], shares[-1]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("architecture", "config"),
    [("flux1d", FLUX_SCHEDULER), ("flux1s", SCHNELL_SCHEDULER), ("sd3", SD3_SCHEDULER)],
)
def test_the_walk_begins_where_the_formula_says(architecture: str, config: dict[str, object]) -> None:
    levels = FAMILY_OF_ARCHITECTURE[architecture].flow_levels
    assert levels is not None
    steps = 100
    for strength in (0.1, 0.3, 0.5, 0.7, 0.9):
        share = perceptual_share(strength, levels, width_px=1024, height_px=512)
        shift = levels.shift_for(width_px=1024, height_px=512)
        sampler = Sampler(
            build_scheduler(
                FLOW_SCHEDULERS["Default"],
                {**config, "_class_name": "FlowMatchEulerDiscreteScheduler"},
                seed=0,
            ),
            steps=steps,
            strength=share,
            generator=torch.Generator(),
            schedule={"sigmas": np.linspace(1.0, 1.0 / steps, steps), "mu": math.log(shift)},
        )
        ratio = noise_to_signal(strength) * math.sqrt(16 * 128 * 64 / (4 * 64 * 64))
        # A step of the schedule before its shift is a hundredth.
        begins = sampler.timestep / 1000
        unshifted = begins / (shift - (shift - 1) * begins)
        assert unshifted == pytest.approx(ratio / (ratio + shift), abs=0.006)


def test_a_picture_of_more_latents_has_to_be_lost_under_more_noise() -> None:
    levels = FlowLevels(shift=3.0)
    small, large = (perceptual_share(0.5, levels, width_px=side, height_px=side) for side in (512, 1024))
    assert large / (1 - large) == pytest.approx(2 * small / (1 - small))
