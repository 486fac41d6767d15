import sys
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.checkpoints import photo_like
from tests.engine.driving import Driven, job_request, worst_difference
from tests.redux import TOKENS, write_redux
from underpaint.diffusion.family import Row
from underpaint.diffusion.flux import GUIDED_TOKENS
from underpaint.diffusion.stable_diffusion import StableDiffusion
from underpaint.engine import memory as memory_module
from underpaint.engine import models as models_module
from underpaint.engine import passes as passes_module
from underpaint.engine import room as room_module
from underpaint.engine.memory import free_bytes, peak_of, readable, release_memory, total_bytes
from underpaint.engine.messages import ImagePrompt, JobRequest, ModelReference
from underpaint.engine.room import FIXED_BYTES, REFUSED_FOR_S, PassMemory
from underpaint.engine.weights import weights_bytes

CPU = torch.device("cpu")


def test_what_is_free_is_part_of_what_there_is() -> None:
    assert 0 < free_bytes(CPU) <= total_bytes(CPU)


def test_a_container_has_no_more_than_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("30000000\n")
    (tmp_path / "memory.current").write_text("25000000\n")
    (tmp_path / "memory.stat").write_text("anon 20000000\ninactive_file 4000000\n")
    monkeypatch.setattr(memory_module, "CGROUP", tmp_path)
    assert total_bytes(CPU) == 30_000_000
    assert free_bytes(CPU) == 9_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert total_bytes(CPU) > 30_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say")
def test_the_height_of_what_work_takes_is_measured() -> None:
    with peak_of(CPU) as peak:
        np.ones(200 * 2**20, np.uint8).sum()
    assert peak.bytes is not None
    assert peak.bytes == pytest.approx(200 * 2**20, rel=0.2)


def test_sizes_for_people() -> None:
    assert [readable(size) for size in (3 * 2**20, 5 * 2**30)] == ["3 MiB", "5.0 GiB"]


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_what_pytorch_keeps_of_a_gpus_memory_is_given_back(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    emptied: list[str] = []
    for gpu in ("cuda", "mps"):
        monkeypatch.setattr(getattr(torch, gpu), "empty_cache", lambda gpu=gpu: emptied.append(gpu))
    release_memory(torch.device(kind))
    release_memory(CPU)
    assert emptied == [kind]


def test_weights_are_counted_before_they_are_loaded(sd1_checkpoint: Path, tmp_path: Path) -> None:
    model = StableDiffusion.load(sd1_checkpoint, config=None, device=CPU, dtype=torch.float32)
    networks = (model._unet, model._autoencoder._vae, *(text._encoder for text in model._text))
    loaded = sum(weights.nbytes for network in networks for weights in network.parameters())
    assert weights_bytes(sd1_checkpoint, torch.float32) == loaded
    assert weights_bytes(sd1_checkpoint, torch.float16) == loaded // 2
    assert weights_bytes(tmp_path / "missing", torch.float32) == 0


def test_a_pass_is_reckoned_by_the_largest_that_was_measured() -> None:
    memory = PassMemory()
    assert memory.rows_that_fit("model", pixels=2**22, free_bytes=1, most=8) == 8, "nothing is known yet"
    memory.record("model", rows=2, pixels=2**16, peak_bytes=FIXED_BYTES + 2**27)
    assert not memory.tells_more("model", rows=1, pixels=2**16)
    assert memory.tells_more("model", rows=3, pixels=2**16)
    assert memory.needed_bytes("model", rows=2, pixels=2**16) == 0, "it has run"
    assert memory.needed_bytes("model", rows=4, pixels=2**16) == 2**28
    assert memory.needed_bytes("another", rows=4, pixels=2**16) == 0
    assert memory.rows_that_fit("model", pixels=2**18, free_bytes=2**30, most=8) == 3
    assert memory.rows_that_fit("model", pixels=2**20, free_bytes=2**30, most=8) == 0


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


def test_a_size_that_was_refused_is_not_tried_again_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(room_module, "time", clock)
    memory = PassMemory()

    def fitting(*, pixels: int = 2**16, beside: str | None = None, free_bytes: int = 2**30) -> int:
        return memory.rows_that_fit("model", pixels=pixels, beside=beside, free_bytes=free_bytes, most=8)

    memory.refuse("model", rows=4, pixels=2**16, free_bytes=2**30)
    assert fitting() == 3
    assert fitting(pixels=2**17) == 8
    assert fitting(beside="a ControlNet") == 8
    memory.refuse("model", rows=6, pixels=2**16, free_bytes=2**30)
    assert fitting() == 3
    memory.refuse("model", rows=2, pixels=2**16, beside="a ControlNet", free_bytes=2**30)
    assert (fitting(), fitting(beside="a ControlNet")) == (3, 1)
    clock.now_s += REFUSED_FOR_S - 1
    assert fitting(free_bytes=2**30 + 2**28) == 3
    clock.now_s += 2
    assert fitting() == 8


def test_a_size_that_was_refused_is_tried_again_when_clearly_more_is_free() -> None:
    memory = PassMemory()
    memory.refuse("model", rows=4, pixels=2**16, free_bytes=2**28)
    assert memory.rows_that_fit("model", pixels=2**16, free_bytes=2**28, most=8) == 3
    assert memory.rows_that_fit("model", pixels=2**16, free_bytes=2**30, most=8) == 8
    # It is another time from then on: what is refused next is not the less of the two.
    memory.refuse("model", rows=7, pixels=2**16, free_bytes=2**30)
    assert memory.rows_that_fit("model", pixels=2**16, free_bytes=2**28, most=8) == 6


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Allow passes of so many rows and no more; gives the rows of each that was tried."""

    def limit(most: int, error: type[Exception] = torch.OutOfMemoryError) -> list[int]:
        tried: list[int] = []
        predict = StableDiffusion.predict

        def limited(model: StableDiffusion, rows: Sequence[Row]) -> Tensor:
            tried.append(len(rows))
            if len(rows) > most:
                raise error("DefaultCPUAllocator: can't allocate memory: you tried to allocate 2 bytes")
            return predict(model, rows)

        monkeypatch.setattr(StableDiffusion, "predict", limited)
        return tried

    return limit


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_a_pass_that_fails_for_memory_runs_in_halves_and_is_not_tried_again(
    sd1_checkpoint: Path,
    passes: Callable[..., list[int]],
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    monkeypatch.setattr(passes_module, "free_bytes", lambda device: 2**30)
    alone = Driven()
    alone.finish(job_request("0", sd1_checkpoint))
    tried = passes(1, error)
    driven = Driven()
    driven.finish(*(job_request(str(seed), sd1_checkpoint, seed=seed + 1) for seed in range(2)))
    assert worst_difference(driven.picture("0"), alone.picture("0")) <= 1
    driven.finished("1")
    # Both jobs together, halves, and quarters; from then on row by row.
    assert tried == [4, 2, 1, 1, *[1] * (len(tried) - 4)]


def test_strict_passes_are_not_divided(sd1_checkpoint: Path, passes: Callable[..., list[int]]) -> None:
    tried = passes(2)
    driven = Driven(strict_rows=4)
    driven.finish(job_request("job", sd1_checkpoint))
    assert driven.failed("job").code == "outOfMemory"
    assert set(tried) == {4}


def test_a_picture_that_is_too_large_for_the_memory_is_refused_before_its_first_pass(
    sd1_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driven = Driven()
    model = job_request("any", sd1_checkpoint).model
    driven.engine._passes.memory.record(model, rows=2, pixels=2**12, peak_bytes=FIXED_BYTES + 2**27)
    monkeypatch.setattr(passes_module, "free_bytes", lambda device: 2**30)
    driven.finish(
        job_request("large", sd1_checkpoint, width_px=512, height_px=512),
        job_request("small", sd1_checkpoint),
    )
    failed = driven.failed("large")
    assert failed.code == "outOfMemory"
    assert failed.message == (
        "a picture of 512 x 512 pixels needs about 4.0 GiB of memory, and 1.0 GiB are free"
    )
    assert [report.step for report in driven.progress("large")] in ([], [0], [0, 0])
    driven.finished("small")


def test_of_a_batch_that_is_too_large_for_the_memory_a_part_runs(
    sd1_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, passes: Callable[..., list[int]]
) -> None:
    tried = passes(2)
    driven = Driven()
    driven.engine._passes.memory.record(
        job_request("any", sd1_checkpoint).model, rows=1, pixels=2**12, peak_bytes=FIXED_BYTES + 2**27
    )
    monkeypatch.setattr(passes_module, "free_bytes", lambda device: 2**28 + 2**26)
    driven.finish(*(job_request(str(seed), sd1_checkpoint, seed=seed) for seed in range(3)))
    for seed in range(3):
        driven.finished(str(seed))
    assert max(tried) == 2


def test_pictures_in_place_of_a_prompt_count_with_the_pixels(
    flux_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of FLUX.1 Redux: four of them are more than the picture, and four do not fit where one does."""
    redux = write_redux(tmp_path / "redux")
    photo = photo_like(32, 32)

    def job(name: str, *, pictures: int) -> JobRequest:
        prompt = ImagePrompt(
            air="runware:105@1",
            location=redux,
            encoder=redux.parents[1] / "image_encoder",
            pictures=(photo,) * pictures,
        )
        return job_request(
            name,
            flux_checkpoint,
            model=ModelReference(architecture="flux1d", location=flux_checkpoint),
            image_prompts=(prompt,) if pictures else (),
            scheduler="Default",
            steps=2,
        )

    driven, measured = Driven(), list[int]()
    record = PassMemory.record

    def noted(memory: PassMemory, model: Hashable, *, pixels: int, **more: int) -> None:
        measured.append(pixels)
        record(memory, model, pixels=pixels, **more)

    monkeypatch.setattr(PassMemory, "record", noted)
    for pictures in (0, 1, 4):
        driven.finish(job(f"of {pictures}", pictures=pictures))
    texts, one, four = (64 * 64 + (GUIDED_TOKENS + pictures * TOKENS) * 16 * 16 for pictures in (0, 1, 4))
    assert list(dict.fromkeys(measured)) == [texts, one, four]

    tight = Driven()
    tight.engine._passes.memory.record(
        job("any", pictures=0).model, rows=1, pixels=texts, peak_bytes=FIXED_BYTES + texts
    )
    room = round((one + four) / 2 / 0.9)
    monkeypatch.setattr(passes_module, "free_bytes", lambda device: room)
    tight.finish(job("one", pictures=1), job("four", pictures=4))
    tight.finished("one")
    assert tight.failed("four").code == "outOfMemory"


def test_a_model_that_is_more_than_there_is_memory_for_is_refused(
    sd1_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models_module, "free_bytes", lambda device: 1000)
    driven = Driven()
    driven.finish(job_request("job", sd1_checkpoint))
    failed = driven.failed("job")
    assert failed.code == "modelLoad"
    assert "of memory, and 0 MiB are free" in failed.message


def test_models_leave_where_memory_is_short_even_within_the_budget(
    sd1_checkpoint: Path, sd2_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driven = Driven()
    driven.finish(job_request("first", sd1_checkpoint, steps=1))
    free: Any = iter([0, 2**40])
    monkeypatch.setattr(models_module, "free_bytes", lambda device: next(free))
    driven.finish(job_request("second", sd2_checkpoint, steps=1))
    driven.finished("second")
    assert driven.engine._models._sizes.keys() == {job_request("any", sd2_checkpoint).model}
