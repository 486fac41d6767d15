from itertools import pairwise

import numpy as np
import pytest
import torch

from training.schedule import TRAIN_STEPS, build_scheduler, cumulative_alphas, shifted_betas, signal_and_noise


def test_signal_falls_from_nearly_all_to_nearly_none() -> None:
    alphas = cumulative_alphas()
    assert len(alphas) == TRAIN_STEPS
    assert all(after < before for before, after in pairwise(alphas))
    assert alphas[0] > 0.999
    assert alphas[-1] < 1e-5


def test_betas_multiply_back_to_the_alphas() -> None:
    betas = np.array(shifted_betas())
    assert ((betas > 0) & (betas < 1)).all()
    assert np.allclose(np.cumprod(1 - betas), cumulative_alphas(), rtol=1e-6)


def test_a_shift_leaves_more_signal_at_every_step() -> None:
    plain, shifted = cumulative_alphas(1.0), cumulative_alphas(2.5)
    assert all(s > p for s, p in zip(shifted[:-2], plain[:-2], strict=True))


def test_the_scheduler_starts_from_pure_noise() -> None:
    scheduler = build_scheduler()
    scheduler.set_timesteps(20)
    assert int(scheduler.timesteps[0]) == TRAIN_STEPS - 1
    assert scheduler.config.prediction_type == "v_prediction"


def test_signal_and_noise_powers_add_to_one() -> None:
    signal, noise = signal_and_noise(torch.device("cpu"))
    assert torch.allclose(signal.square() + noise.square(), torch.ones(TRAIN_STEPS), atol=1e-6)
    assert float(signal[-1]) == pytest.approx(0, abs=1e-3)
