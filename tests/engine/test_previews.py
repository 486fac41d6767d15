from pathlib import Path

import numpy as np

from tests.engine.driving import Driven, job_request
from underpaint.catalog import EMBEDDED
from underpaint.engine.messages import Estimates, Picture, Progress


def test_only_jobs_that_ask_get_previews(sd1_checkpoint: Path, photo: Picture) -> None:
    driven = Driven()
    driven.finish(
        job_request("asks", sd1_checkpoint, picture=photo, strength=1.0, previews=True),
        job_request("does not", sd1_checkpoint, picture=photo, strength=1.0),
    )
    previews = {
        job_id: [
            e.preview for e in driven.events if isinstance(e, Progress) and e.job_id == job_id and e.step
        ]
        for job_id in ("asks", "does not")
    }
    assert all(preview is not None and preview.shape == (8, 8, 3) for preview in previews["asks"])
    assert set(previews["does not"]) == {None}


def test_previews_approach_the_picture(photo: Picture) -> None:
    """On the embedded model, whose pictures mean something."""
    assert EMBEDDED.files is not None
    picture = np.kron(photo, np.ones((4, 4, 1), np.uint8))
    for scheduler in ("Default", "Euler a", "DPM++ 2M"):
        driven = Driven()
        driven.finish(
            job_request(
                "job",
                Path(EMBEDDED.files.location),
                picture=picture,
                width_px=256,
                height_px=256,
                strength=0.6,
                steps=10,
                scheduler=scheduler,
                prompt="charcoal sketch",
                previews=True,
            )
        )
        target = driven.picture("job").reshape(32, 8, 32, 8, 3).mean(axis=(1, 3))
        previews = [e.preview for e in driven.events if isinstance(e, Progress) and e.preview is not None]
        errors = [float(np.abs(preview - target).mean()) for preview in previews]
        assert errors[-1] < 35, (scheduler, errors)
        assert errors[-1] < 0.7 * errors[0], (scheduler, errors)


def test_a_busy_engine_says_when_jobs_will_be_done(sd1_checkpoint: Path, photo: Picture) -> None:
    driven = Driven()
    driven.finish(
        *(job_request(str(n), sd1_checkpoint, picture=photo, strength=1.0, steps=100) for n in range(2))
    )
    estimates = [event for event in driven.events if isinstance(event, Estimates)]
    assert estimates
    assert set(estimates[-1].seconds_left) <= {"0", "1"}
