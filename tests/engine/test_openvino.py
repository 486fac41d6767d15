"""Passes in OpenVINO: the same pictures, from a time on that nobody waits for."""

import logging
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.checkpoints import EMBEDDED_CHECKPOINT, SD2_SCHEDULER
from tests.engine.driving import Driven, job_request, worst_difference
from underpaint.diffusion.openvino_unet import NotCompiled, OpenVinoUnet, require_openvino
from underpaint.engine.compiled_files import SUFFIX, CompiledFiles
from underpaint.engine.compiler import CLOSE_ENOUGH, Order, TooFar, carry_out
from underpaint.engine.messages import JobRequest, ModelReference, Picture

pytestmark = [
    pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed"),
    # torch says that tracing is of the past.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

PREPARED_WITHIN_S = 500
"""It gives way to all else on the machine."""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled forms are made once for all of these tests."""
    return tmp_path_factory.mktemp("compiled")


def wait_for_openvino(driven: Driven) -> None:
    began_s = time.monotonic()
    while driven.engine.is_preparing:
        assert time.monotonic() - began_s < PREPARED_WITHIN_S
        time.sleep(0.05)


def unlike_jobs(folder: Path, photo: Picture) -> list[JobRequest]:
    return [
        job_request("guided", folder, picture=photo, strength=0.7),
        job_request("unguided", folder, guidance_scale=1.0, scheduler="Euler a", seed=2),
        job_request("another size", folder, width_px=96, height_px=128, seed=3),
        job_request("long", folder, prompt="a house " * 100, seed=4),
    ]


@pytest.fixture(scope="module")
def folder(make_checkpoint: Callable[..., Path]) -> Path:
    return make_checkpoint(scheduler=SD2_SCHEDULER, linear_projection=True)


@pytest.fixture(scope="module")
def prepared(folder: Path, compiled: Path) -> None:
    """The compiled form of the model in `folder` lies on the disk."""
    # Strict determinism waits for it, and gives it no lower priority.
    compiled_engine(compiled, strict_rows=2).engine.model(job_request("none", folder).model)


def compiled_engine(compiled: Path, **options: Any) -> Driven:
    return Driven(**{"executor": "auto", "compiled": compiled, "dtype": "float32", **options})


@pytest.mark.usefixtures("prepared")
def test_cancelling_frees_the_engine_within_one_forward_and_leaves_a_neighbour_its_picture(
    folder: Path, photo: Picture, compiled: Path
) -> None:
    kept = job_request("kept", folder, steps=20, picture=photo, strength=0.9)
    given_up = job_request("given up", folder, steps=50, seed=2)
    alone, driven = compiled_engine(compiled), compiled_engine(compiled)
    alone.finish(kept)
    assert driven.finish_beside_a_cancelled_job(kept, given_up, after=7) == 18 - 7
    assert driven.finished("kept").executor == "openvino"
    assert worst_difference(driven.picture("kept"), alone.picture("kept")) <= 1


@pytest.mark.timeout(600)
def test_jobs_under_way_stay_in_pytorch_and_later_ones_run_compiled(
    folder: Path, photo: Picture, tmp_path: Path, compiled: Path
) -> None:
    eager, driven = Driven(), compiled_engine(tmp_path)
    eager.finish(*unlike_jobs(folder, photo))
    driven.engine.submit([job_request("first", folder, steps=10)])
    driven.run_passes(1)
    wait_for_openvino(driven)
    # What comes next need not make it again.
    shutil.copytree(tmp_path, compiled, dirs_exist_ok=True)
    driven.finish(*unlike_jobs(folder, photo))
    assert driven.finished("first").executor == "eager"
    eager.finish(job_request("first", folder, steps=10))
    assert worst_difference(driven.picture("first"), eager.picture("first")) <= 1
    for job in unlike_jobs(folder, photo):
        assert driven.finished(job.job_id).executor == "openvino"
        assert eager.finished(job.job_id).executor == "eager"
        assert worst_difference(driven.picture(job.job_id), eager.picture(job.job_id)) <= 1, job.job_id


@pytest.mark.usefixtures("prepared")
def test_the_next_start_has_it_from_the_first_job_on_and_company_changes_no_byte(
    folder: Path, photo: Picture, compiled: Path
) -> None:
    jobs = unlike_jobs(folder, photo)
    together, alone = compiled_engine(compiled), compiled_engine(compiled)
    together.finish(*jobs)
    for job in jobs:
        alone.finish(job)
        assert alone.finished(job.job_id).executor == "openvino"
        assert together.picture(job.job_id).tobytes() == alone.picture(job.job_id).tobytes(), job.job_id


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("size", [(72, 104), (200, 64), (88, 88)], ids=str)
def test_sides_that_the_unet_cannot_halve_to_the_end_run_compiled(
    folder: Path, compiled: Path, size: tuple[int, int]
) -> None:
    eager, driven = Driven(), compiled_engine(compiled)
    request = job_request("job", folder, width_px=size[0], height_px=size[1])
    eager.finish(request)
    driven.finish(request)
    assert driven.finished("job").executor == "openvino"
    assert worst_difference(driven.picture("job"), eager.picture("job")) <= 1


@pytest.mark.usefixtures("prepared")
def test_a_job_goes_on_from_its_checkpoint_in_what_it_began_with(
    folder: Path, compiled: Path, tmp_path: Path
) -> None:
    request = job_request("job", folder, checkpoint="job", steps=6)
    whole = {
        executor: Driven(executor=executor, compiled=compiled, dtype="float32")
        for executor in ("eager", "openvino")
    }
    for began, goes_on, ran in (
        ("eager", "openvino", "eager"),
        ("openvino", "openvino", "openvino"),
        # What it began with is not there: it begins anew.
        ("openvino", "eager", "eager"),
    ):
        options: dict[str, Any] = {
            "checkpoints": tmp_path / f"{began} {goes_on}",
            "checkpoint_interval_s": 0.0,
            "dtype": "float32",
        }
        first = Driven(executor=began, compiled=compiled, **options)
        first.engine.submit([request])
        first.run_passes(3)
        first.engine.close()
        second = Driven(executor=goes_on, compiled=compiled, **options)
        second.finish(request)
        assert second.finished("job").executor == ran
        if not whole[ran].events:
            whole[ran].finish(request)
        assert second.picture("job").tobytes() == whole[ran].picture("job").tobytes()
        went_on = next(each.step for each in second.progress("job") if each.stage == "running") > 0
        assert went_on == (began == ran)


@pytest.mark.usefixtures("prepared")
def test_a_pass_that_it_cannot_run_runs_in_pytorch_for_all_of_its_jobs(
    folder: Path, photo: Picture, compiled: Path, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = [job_request("one", folder), job_request("other", folder, seed=2)]
    eager, driven = Driven(), compiled_engine(compiled)
    eager.finish(*jobs)
    driven.engine.submit(jobs)
    model: Any = driven.engine.model(jobs[0].model)
    model.compiled._request = SimpleNamespace(infer=refuse_all)
    while driven.engine.busy:
        driven.engine.tick()
    for job in jobs:
        assert driven.finished(job.job_id).executor == "eager"
        assert driven.picture(job.job_id).tobytes() == eager.picture(job.job_id).tobytes()
    assert "no such shape" in caplog.text


def refuse_all(*args: object, **options: object) -> object:
    raise RuntimeError("no such shape")


@pytest.mark.usefixtures("prepared")
def test_a_damaged_file_is_made_anew(folder: Path, compiled: Path, tmp_path: Path) -> None:
    [file] = compiled.glob("*.openvino")
    copy = tmp_path / file.name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)
    with pytest.raises(NotCompiled, match="damaged"):
        OpenVinoUnet.read(copy)
    driven = compiled_engine(tmp_path, strict_rows=2)
    driven.finish(job_request("job", folder))
    assert driven.finished("job").executor == "openvino"
    OpenVinoUnet.read(copy)


@pytest.mark.usefixtures("prepared")
def test_where_memory_is_short_other_models_stay_and_pytorch_runs(
    folder: Path, compiled: Path, sd1_checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    other = job_request("other", sd1_checkpoint)
    without = compiled_engine(compiled, models_bytes=0)
    without.finish(job_request("job", folder))
    assert without.finished("job").executor == "eager"
    size = sum(without.engine._models._sizes.values())
    driven = compiled_engine(compiled, models_bytes=int(2.5 * size))
    driven.finish(job_request("job", folder))
    assert driven.finished("job").executor == "openvino"
    driven.engine.submit([job_request("under way", folder)])
    driven.run_passes(1)
    driven.engine.model(other.model)
    driven.finish(other)
    assert len(driven.engine._models.names) == 2
    assert sum(driven.engine._models._sizes.values()) <= 2.5 * size
    assert driven.finished("other").executor == driven.finished("under way").executor == "eager"
    assert "for want of memory" in caplog.text


def test_half_precision_stays_close_to_full_and_strict_waits_for_it(photo: Picture, compiled: Path) -> None:
    large: Picture = np.asarray(photo).repeat(2, axis=0).repeat(2, axis=1)
    request = job_request(
        "job", EMBEDDED_CHECKPOINT, picture=large, width_px=128, height_px=128, strength=0.8
    )
    eager, driven = Driven(), Driven(executor="auto", compiled=compiled, dtype="bfloat16", strict_rows=2)
    eager.finish(request)
    driven.finish(request, replace(request, job_id="other", seed=7), replace(request, job_id="beside"))
    difference = np.abs(driven.picture("job").astype(int) - eager.picture("job"))
    assert 0 < difference.mean() < 2.0
    finished = driven.finished("job")
    assert (finished.executor, finished.precision) == ("openvino", "bfloat16")
    assert finished.picture.tobytes() == driven.picture("beside").tobytes()


def test_a_form_that_is_too_far_off_is_not_used(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = Order(
        architecture="sd1x",
        location=str(folder),
        config=None,
        precision="bf16",
        path=str(tmp_path / "model.openvino"),
        threads=1,
        waited_for=False,
    )
    monkeypatch.setitem(CLOSE_ENOUGH, torch.bfloat16, 1e-9)
    carry_out(order)
    assert OpenVinoUnet.read(tmp_path / "model.openvino").precision == torch.float32
    monkeypatch.setitem(CLOSE_ENOUGH, torch.float32, 1e-30)
    with pytest.raises(TooFar):
        carry_out(replace(order, precision="f32", path=str(tmp_path / "other.openvino")))
    assert not (tmp_path / "other.openvino").exists()


def test_without_the_package_passes_run_in_pytorch_and_the_log_says_why(
    sd1_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setitem(sys.modules, "openvino", None)
    driven = Driven(executor="auto")
    driven.finish(job_request("job", sd1_checkpoint))
    assert driven.finished("job").executor == "eager"
    [record] = [record for record in caplog.records if "OpenVINO" in record.message]
    assert "pip install 'underpaint[openvino]'" in record.message


@pytest.mark.parametrize(
    ("options", "machine", "reason"),
    [
        ({"executor": "auto", "dtype": "float16"}, "x86_64", "does not compute in float16"),
        ({"executor": "auto"}, "aarch64", "measured on x86-64"),
        ({"executor": "openvino", "dtype": "float16"}, "aarch64", "does not compute in float16"),
    ],
)
def test_where_it_is_not_used_one_line_says_why(
    options: dict[str, Any],
    machine: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert not Driven(**options).engine._executors.compiles
    [record] = [record for record in caplog.records if "PyTorch" in record.message]
    assert reason in record.message


def test_a_compiler_that_fails_leaves_the_model_in_pytorch(
    sd1_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Its folder cannot be made.
    (tmp_path / "file").write_bytes(b"")
    driven = Driven(executor="openvino", strict_rows=2, compiled=tmp_path / "file" / "folder")
    driven.finish(job_request("job", sd1_checkpoint))
    assert driven.finished("job").executor == "eager"
    assert "goes on in PyTorch" in caplog.text


def test_closing_ends_a_compiler_under_way(sd1_checkpoint: Path, tmp_path: Path) -> None:
    driven = Driven(executor="auto", compiled=tmp_path)
    driven.engine.model(job_request("none", sd1_checkpoint).model)
    assert driven.engine.is_preparing
    driven.engine.close()
    wait_for_openvino(driven)
    assert not list(tmp_path.glob("*.openvino"))


def test_files_beyond_the_budget_go_the_least_recently_used_first(tmp_path: Path) -> None:
    files = CompiledFiles(tmp_path, budget_bytes=25, processor="any")
    paths = [tmp_path / f"{number}{SUFFIX}" for number in range(4)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes(10))
        os.utime(path, (number, number))
    files.touch(paths[0])
    files.trim(paths[3])
    assert sorted(tmp_path.iterdir()) == [paths[0], paths[3]]
    CompiledFiles(tmp_path, budget_bytes=0, processor="any").trim(paths[0])
    assert sorted(tmp_path.iterdir()) == [paths[0]]


def test_other_weights_have_another_file(tmp_path: Path) -> None:
    files = CompiledFiles(tmp_path / "compiled", budget_bytes=0, processor="any")
    model = tmp_path / "model.safetensors"
    model.write_bytes(b"one")
    reference = ModelReference(architecture="sd1x", location=model)
    before = files.path(reference, "float32")
    assert files.path(reference, "float32") == before != files.path(reference, "bfloat16")
    model.write_bytes(b"other")
    assert files.path(reference, "float32") != before


def test_it_tells_nobody() -> None:
    require_openvino()
    assert sys.modules["openvino_telemetry"] is None


def test_a_model_that_takes_guidance_as_an_input_runs(
    make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_checkpoint(time_cond_proj_dim=32)
    driven = compiled_engine(tmp_path, strict_rows=2)
    eager = Driven()
    request = job_request("job", folder, guidance_scale=5.0)
    driven.finish(request)
    eager.finish(request)
    assert driven.finished("job").executor == "openvino"
    assert worst_difference(driven.picture("job"), eager.picture("job")) <= 1
