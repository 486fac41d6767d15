"""A device that nothing can be computed on any more: the engine ends, so that another process goes on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.driving import Driven, job_request
from underpaint.diffusion.stable_diffusion import StableDiffusion
from underpaint.engine.lost_device import device_is_lost
from underpaint.engine.messages import Failed, Picture
from underpaint.engine.trajectory import Trajectory

ILLEGAL_ACCESS = "CUDA error: an illegal memory access was encountered"


def failing(*_: Any, **__: Any) -> Any:
    raise RuntimeError(ILLEGAL_ACCESS)


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Say what looking at the device tells."""

    def answer(lost: bool) -> None:
        monkeypatch.setattr("underpaint.engine.engine.device_is_lost", lambda device: lost)

    return answer


@pytest.mark.parametrize(
    ("where", "name"),
    [(StableDiffusion, "encode_picture"), (StableDiffusion, "predict"), (Trajectory, "paint")],
)
def test_an_engine_whose_device_is_lost_ends_and_fails_no_job(
    sd1_checkpoint: Path,
    photo: Picture,
    monkeypatch: pytest.MonkeyPatch,
    probe: Callable[[bool], None],
    where: type,
    name: str,
) -> None:
    jobs = [
        job_request(str(seed), sd1_checkpoint, picture=photo, strength=0.5, seed=seed) for seed in range(2)
    ]
    probe(True)
    driven = Driven()
    monkeypatch.setattr(where, name, failing)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        driven.finish(*jobs)
    assert not driven.ended
    # So it is not because of the failure itself.
    probe(False)
    driven = Driven()
    driven.finish(*jobs)
    for job in jobs:
        assert driven.failed(job.job_id).code == "failed"


def test_a_model_that_cannot_be_loaded_for_that_is_not_refused(
    sd1_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, probe: Callable[[bool], None]
) -> None:
    """CUDA may say only then what happened before."""
    probe(True)
    driven = Driven()
    monkeypatch.setattr("underpaint.diffusion.loading._load", failing)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        driven.finish(job_request("next", sd1_checkpoint))
    assert not [event for event in driven.events if isinstance(event, Failed)]


def test_a_gpu_is_lost_when_it_cannot_be_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    assert not device_is_lost(gpu)
    monkeypatch.setattr(torch.cuda, "synchronize", failing)
    assert device_is_lost(gpu)
    assert not device_is_lost(torch.device("cpu"))
