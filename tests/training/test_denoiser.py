import pytest
import torch
from torch import Tensor

from training.denoiser import (
    BRIDGE_CAP,
    COMPLETE_START,
    EARLIEST_START,
    GUIDANCE_RANGE,
    PLAIN_CAP,
    Batch,
    Denoiser,
    draw_batch,
    draw_negatives,
    draw_scale,
    loss_weight,
    noised,
)
from training.latents import LatentSet
from training.schedule import TRAIN_STEPS, build_scheduler, signal_and_noise

SIGNAL, NOISE = signal_and_noise(torch.device("cpu"))


def batch_at(time: int, start: int) -> Batch:
    """One bridge (or, with start -1, one ordinary sample) of fixed random latents."""
    generator = torch.Generator().manual_seed(4)
    source, target, noise = (torch.randn((1, 4, 8, 8), generator=generator) for _ in range(3))
    return Batch(
        source=source,
        target=target,
        ids=torch.zeros((1, 3), dtype=torch.long),
        start=torch.tensor([start]),
        time=torch.tensor([time]),
        noise=noise,
    )


def test_a_bridge_starts_at_the_noised_photo() -> None:
    batch = batch_at(600, 600)
    latents, _ = noised(batch, SIGNAL, NOISE)
    assert torch.allclose(latents, SIGNAL[600] * batch.source + NOISE[600] * batch.noise, atol=1e-5)


def test_a_bridge_ends_at_the_rendition() -> None:
    batch = batch_at(0, 600)
    latents, _ = noised(batch, SIGNAL, NOISE)
    assert (latents - batch.target).abs().mean() < 0.05


@pytest.mark.parametrize("start", [-1, 700])
def test_signal_and_noise_can_be_read_back_from_latents_and_velocity(start: int) -> None:
    batch = batch_at(500, start)
    latents, velocity = noised(batch, SIGNAL, NOISE)
    assert torch.allclose(SIGNAL[500] * latents - NOISE[500] * velocity, batch.target, atol=1e-4)


def test_the_stock_sampler_walks_the_bridge_exactly() -> None:
    scheduler = build_scheduler()
    scheduler.set_timesteps(20)
    times = [int(t) for t in scheduler.timesteps]
    here, there = times[6], times[7]
    latents, velocity = noised(batch_at(here, times[4]), SIGNAL, NOISE)
    wanted, _ = noised(batch_at(there, times[4]), SIGNAL, NOISE)
    stepped = scheduler.step(velocity, here, latents).prev_sample
    assert torch.allclose(stepped, wanted, atol=2e-3)


class Constant(torch.nn.Module):
    """A stand-in for the text encoder or the UNet that returns what the test gives it."""

    def __init__(self, name: str, value: Tensor) -> None:
        super().__init__()
        self._name, self._value = name, value

    def forward(self, *inputs: Tensor) -> object:
        return type("Output", (), {self._name: self._value})


def denoiser_saying(prediction: Tensor) -> Denoiser:
    words = Constant("last_hidden_state", torch.zeros(1))
    return Denoiser(Constant("sample", prediction), words, SIGNAL, NOISE)


def test_no_sample_rules_the_loss() -> None:
    for start, cap in ((-1, PLAIN_CAP), (900, BRIDGE_CAP)):
        for time in range(0, 900, 50):
            ratio = float((SIGNAL[time] / NOISE[time]).square())
            weight = float(loss_weight(batch_at(time, start), SIGNAL, NOISE))
            assert weight * (ratio + 1) <= max(cap, 0.15 * (ratio + 1)) + 1e-4
            assert weight > 0


def test_guidance_of_one_counts_the_plain_loss_twice() -> None:
    batch = batch_at(400, 600)
    conditional, unconditional = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    plain, _ = denoiser_saying(conditional).plain_loss(batch)
    both = denoiser_saying(torch.cat([conditional, unconditional]))
    guided, _ = both.guided_loss(batch, batch.ids, torch.ones(1))
    assert guided.item() == pytest.approx(2 * plain.item(), rel=1e-5)


def test_the_right_velocity_has_no_loss() -> None:
    batch = batch_at(400, 600)
    _, velocity = noised(batch, SIGNAL, NOISE)
    assert denoiser_saying(velocity).plain_loss(batch)[0].item() == pytest.approx(0, abs=1e-9)


@pytest.fixture
def data() -> LatentSet:
    generator = torch.Generator().manual_seed(2)
    made = LatentSet.__new__(LatentSet)
    made.latents = torch.randn((8, 4, 32, 32), generator=generator).half()
    made.ids = torch.arange(8)[:, None].repeat(1, 3) + 10
    made.records = [[0, 1, 2, 3], [4, 5, 6, 7]]
    return made


def test_batches_are_crops_of_one_record_with_times_in_order(data: LatentSet) -> None:
    empty = torch.tensor([1, 1, 1])
    batch = draw_batch(torch.Generator().manual_seed(1), data, empty, 200, 16, torch.device("cpu"))
    assert batch.source.shape == batch.target.shape == batch.noise.shape == (200, 4, 16, 16)
    bridged = batch.start >= 0
    assert 0.6 < bridged.float().mean() < 0.9
    assert (batch.time[bridged] <= batch.start[bridged]).all()
    assert int(batch.start[bridged].min()) >= EARLIEST_START
    assert int(batch.time.max()) < TRAIN_STEPS
    unchanged = (batch.source == batch.target).flatten(1).all(1)
    assert 0.08 < unchanged.float().mean() < 0.3
    without_words = (batch.ids == 1).all(1)
    assert 0.03 < without_words.float().mean() < 0.2


def test_negatives_are_mostly_empty_and_sometimes_captions_or_what_people_avoid(data: LatentSet) -> None:
    empty, usual = torch.tensor([1, 1, 1]), torch.tensor([[2, 2, 2], [3, 3, 3]])
    first = draw_negatives(torch.Generator().manual_seed(1), data, usual, empty, 400)[:, 0]
    assert 0.5 < (first == 1).float().mean() < 0.7
    assert 0.1 < ((first == 2) | (first == 3)).float().mean() < 0.3
    assert 0.1 < (first >= 10).float().mean() < 0.3


def test_short_bridges_end_at_a_part_of_the_rendition(data: LatentSet) -> None:
    data.latents[:] = torch.arange(8)[:, None, None, None].half()
    batch = draw_batch(
        torch.Generator().manual_seed(1), data, torch.tensor([1, 1, 1]), 400, 16, torch.device("cpu")
    )
    ids = batch.ids[:, 0]
    way, whole = (batch.target - batch.source)[:, 0, 0, 0], (ids - 10) - batch.source[:, 0, 0, 0]
    styled = (ids != 1) & (batch.start >= 0) & (whole > 0)
    share = (way / whole)[styled]
    assert torch.allclose(share, (batch.start[styled] / COMPLETE_START).clamp_max(1))
    assert float(share.min()) < 0.3
    assert float(share.max()) == 1
    nameless = (ids == 1) & (batch.start >= 0)
    assert nameless.any()
    assert (way[nameless] == 0).all()


def test_guidance_scales_cover_their_range() -> None:
    scales = draw_scale(torch.Generator().manual_seed(1), 500)
    low, high = GUIDANCE_RANGE
    assert low <= float(scales.min()) < 1.2 * low
    assert 0.8 * high < float(scales.max()) <= high
    assert float(scales.median()) == pytest.approx((low * high) ** 0.5, rel=0.15)
