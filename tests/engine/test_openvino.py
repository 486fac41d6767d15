"""Passes in OpenVINO: the same pictures, from a time on that nobody waits for."""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.checkpoints import EMBEDDED_CHECKPOINT, SD2_SCHEDULER
from tests.engine.driving import Driven, job_request, worst_difference
from underpaint.diffusion import openvino_unet
from underpaint.engine.messages import JobRequest, Picture

pytestmark = [
    pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed"),
    # torch says that tracing is of the past.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

PREPARED_WITHIN_S = 100


def wait_for_openvino(driven: Driven, request: JobRequest) -> None:
    model: Any = driven.engine._models.get(request.model)
    began_s = time.monotonic()
    while model.executor != "openvino":
        assert time.monotonic() - began_s < PREPARED_WITHIN_S
        time.sleep(0.05)


def unlike_jobs(folder: Path, photo: Picture) -> list[JobRequest]:
    return [
        job_request("guided", folder, picture=photo, strength=0.7),
        job_request("unguided", folder, guidance_scale=1.0, scheduler="Euler a", seed=2),
        job_request("another size", folder, width_px=96, height_px=128, seed=3),
        job_request("long", folder, prompt="a house " * 100, seed=4),
    ]


def test_pictures_are_the_same_and_passes_go_over_in_the_midst_of_serving(
    make_checkpoint: Callable[..., Path], photo: Picture
) -> None:
    folder = make_checkpoint(scheduler=SD2_SCHEDULER, linear_projection=True)
    eager, driven = Driven(), Driven(executor="openvino")
    eager.finish(*unlike_jobs(folder, photo))
    first = job_request("first", folder, steps=30)
    driven.finish(first)
    wait_for_openvino(driven, first)
    driven.finish(*unlike_jobs(folder, photo))
    for job in unlike_jobs(folder, photo):
        assert driven.finished(job.job_id).executor == "openvino"
        assert eager.finished(job.job_id).executor == "eager"
        assert worst_difference(driven.picture(job.job_id), eager.picture(job.job_id)) <= 1, job.job_id


def test_strict_passes_have_one_executor_from_the_first_on(sd1_checkpoint: Path, photo: Picture) -> None:
    jobs = unlike_jobs(sd1_checkpoint, photo)[:2]
    driven = Driven(executor="openvino", strict_rows=4)
    driven.finish(*jobs)
    for job in jobs:
        again = replace(job, job_id=f"{job.job_id}, alone")
        driven.finish(again)
        assert driven.finished(job.job_id).executor == "openvino"
        assert driven.picture(job.job_id).tobytes() == driven.picture(again.job_id).tobytes()


def test_half_precision_stays_close_to_full(photo: Picture) -> None:
    large: Picture = np.asarray(photo).repeat(2, axis=0).repeat(2, axis=1)
    request = job_request(
        "job", EMBEDDED_CHECKPOINT, picture=large, width_px=128, height_px=128, strength=0.8
    )
    eager, driven = Driven(), Driven(executor="openvino", dtype="bfloat16", strict_rows=2)
    eager.finish(request)
    driven.finish(request)
    difference = np.abs(driven.picture("job").astype(int) - eager.picture("job"))
    assert 0 < difference.mean() < 2.0
    assert driven.finished("job").executor == "openvino"


def test_without_the_package_passes_run_in_pytorch_and_the_log_says_why(
    sd1_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    driven = Driven(executor="openvino")
    driven.finish(job_request("job", sd1_checkpoint))
    assert driven.finished("job").executor == "eager"
    [record] = [record for record in caplog.records if "OpenVINO" in record.message]
    assert "pip install 'underpaint[openvino]'" in record.message


def test_a_model_that_it_cannot_run_goes_on_in_pytorch(
    sd1_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise RuntimeError("no such operation")

    monkeypatch.setattr(openvino_unet.require_openvino(), "convert_model", refuse)
    driven = Driven(executor="openvino", strict_rows=2)
    driven.finish(job_request("job", sd1_checkpoint))
    assert driven.finished("job").executor == "eager"
    assert "no such operation" in caplog.text


def test_it_tells_nobody() -> None:
    openvino_unet.require_openvino()
    assert sys.modules["openvino_telemetry"] is None


def test_a_model_that_takes_guidance_as_an_input_runs(make_checkpoint: Callable[..., Path]) -> None:
    folder = make_checkpoint(time_cond_proj_dim=32)
    driven = Driven(executor="openvino", strict_rows=2)
    eager = Driven()
    request = job_request("job", folder, guidance_scale=5.0)
    driven.finish(request)
    eager.finish(request)
    assert driven.finished("job").executor == "openvino"
    assert worst_difference(driven.picture("job"), eager.picture("job")) <= 1
