"""Jobs with reference images: who shares passes with whom, and what an interrupted one goes on from."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from tests.checkpoints import photo_like
from tests.engine.driving import Driven, job_request, worst_difference
from underpaint.diffusion.family import Row
from underpaint.diffusion.flux import Flux, reference_positions
from underpaint.engine.job import Job
from underpaint.engine.messages import JobRequest, ModelReference, Picture

STEPS = 4
SQUARE, WIDE = photo_like(64, 64), photo_like(96, 64)


def asked(folder: Path, name: str, *references: Picture, **more: Any) -> JobRequest:
    usual: dict[str, Any] = {
        "model": ModelReference(architecture="fluxkontextdev", location=folder),
        "steps": STEPS,
        "guidance_scale": 2.5,
        "scheduler": "Default",
        "reference_pictures": references,
    }
    return job_request(name, folder, **{**usual, **more})


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[int, ...]]]:
    """Of every forward pass, the widths in latents of the references of each row."""
    run: list[list[tuple[int, ...]]] = []
    predict = Flux.predict

    def noting(model: Flux, rows: Sequence[Row]) -> Tensor:
        run.append([tuple(each.shape[-1] for each in row.references) for row in rows])
        return predict(model, rows)

    monkeypatch.setattr(Flux, "predict", noting)
    return run


def test_references_of_one_size_share_passes_and_others_do_not(
    kontext_checkpoint: Path, photo: Picture, passes: list[list[tuple[int, ...]]]
) -> None:
    jobs = [
        asked(kontext_checkpoint, "square", SQUARE),
        asked(kontext_checkpoint, "other square", 255 - SQUARE, seed=5, guidance_scale=4.0),
        asked(kontext_checkpoint, "begun", SQUARE, picture=photo, strength=1.0, scheduler="Euler Karras"),
        asked(kontext_checkpoint, "wide", WIDE),
        # As many patches, but in other places.
        asked(kontext_checkpoint, "high", np.ascontiguousarray(WIDE.transpose(1, 0, 2))),
        asked(kontext_checkpoint, "both", SQUARE, WIDE),
        asked(kontext_checkpoint, "none"),
    ]
    together = Driven(max_rows=8)
    together.finish(*jobs)
    assert Counter(map(tuple, passes)) == {
        ((8,), (8,), (8,)): STEPS,
        ((12,),): STEPS,
        ((8,),): STEPS,
        ((8, 12),): STEPS,
        ((),): STEPS,
    }
    for job in jobs:
        alone = Driven()
        alone.finish(job)
        assert worst_difference(together.picture(job.job_id), alone.picture(job.job_id)) <= 1
    assert worst_difference(together.picture("square"), together.picture("none")) > 10


def test_what_is_looked_at_counts_as_pixels(kontext_checkpoint: Path) -> None:
    assert Job(asked(kontext_checkpoint, "none")).pixels == 64 * 64
    assert Job(asked(kontext_checkpoint, "both", SQUARE, WIDE)).pixels == 64 * (64 + 64 + 96)


def test_references_lie_side_by_side_without_overlap() -> None:
    places = reference_positions([(16, 24), (16, 24), (40, 8)])
    assert [int(each[0, 1]) for each in places] == [0, 8, 0]
    assert [int(each[0, 2]) for each in places] == [0, 0, 12]
    every = [tuple(place) for each in places for place in each.int().tolist()]
    assert len(set(every)) == len(every) == 8 * 12 * 2 + 20 * 4
    assert {picture for picture, _, _ in every} == {1}


def test_an_interrupted_job_goes_on_to_the_same_picture(
    kontext_checkpoint: Path, tmp_path: Path, passes: list[list[tuple[int, ...]]]
) -> None:
    request = asked(kontext_checkpoint, "only", SQUARE, WIDE, checkpoint="name")
    whole = Driven()
    whole.finish(replace(request, checkpoint=None))
    first = Driven(checkpoints=tmp_path, checkpoint_interval_s=0.0)
    first.engine.submit([request])
    first.run_passes(2)
    first.engine.close()
    passes.clear()
    second = Driven(checkpoints=tmp_path)
    second.finish(request)
    assert len(passes) == STEPS - 2
    assert worst_difference(second.picture("only"), whole.picture("only")) == 0
    passes.clear()
    # The checkpoint of a job with other references is none for this one.
    first = Driven(checkpoints=tmp_path, checkpoint_interval_s=0.0)
    first.engine.submit([request])
    first.run_passes(1)
    first.engine.close()
    passes.clear()
    Driven(checkpoints=tmp_path).finish(replace(request, reference_pictures=(SQUARE, 255 - WIDE)))
    assert len(passes) == STEPS
