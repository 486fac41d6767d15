from pathlib import Path

import pytest
import torch

from training.progress import Average, ComputeClock, Journal, cosine_rate, load_checkpoint, save_checkpoint


def test_the_rate_warms_up_then_falls_to_its_floor() -> None:
    assert cosine_rate(0.0, 0, warmup_steps=10) == pytest.approx(0.1)
    falling = [cosine_rate(fraction / 10, 100) for fraction in range(11)]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] == pytest.approx(1.0)
    assert falling[-1] == pytest.approx(0.03)
    assert cosine_rate(7.0, 100) == pytest.approx(0.03)


def test_the_clock_goes_on_from_what_was_spent() -> None:
    clock = ComputeClock(torch.device("cpu"), spent_minutes=5)
    first = clock.minutes
    sum(range(200_000))
    assert 5 <= first < clock.minutes < 6


def test_swapping_the_average_twice_changes_nothing() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    average = Average([weight], decay=0.5)
    with torch.no_grad():
        weight.fill_(3.0)
    average.update()
    mean = average.values[0].clone()
    assert 1 < mean[0] < 3
    average.swap()
    assert torch.equal(weight.detach(), mean)
    average.swap()
    assert torch.equal(weight.detach(), torch.full((3,), 3.0))
    restored = Average([torch.nn.Parameter(torch.zeros(3))])
    restored.restore(average.state())
    assert torch.equal(restored.values[0], mean)


def test_a_checkpoint_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "checkpoint.pt"
    assert load_checkpoint(path) is None
    save_checkpoint(path, {"step": 3, "weights": torch.arange(4)})
    assert [p.name for p in path.parent.iterdir()] == ["checkpoint.pt"]
    loaded = load_checkpoint(path)
    assert loaded is not None
    assert loaded["step"] == 3
    assert torch.equal(loaded["weights"], torch.arange(4))


def test_the_journal_draws_what_was_logged(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log.jsonl")
    for step in range(5):
        journal.write(step=step, loss=1 / (step + 1))
    journal.write(step=5, psnr_db=20)
    journal.draw(tmp_path / "curves.png", "step", ("loss", "psnr_db"))
    assert (tmp_path / "curves.png").stat().st_size > 500
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 6
