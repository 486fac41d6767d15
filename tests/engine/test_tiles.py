"""Large pictures, worked on in tiles: by the same passes as pictures of a tile's size, and alone as in company."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.checkpoints import photo_like
from tests.engine.driving import Driven, job_request, worst_difference
from underpaint.engine.messages import JobRequest, Picture


@pytest.fixture(scope="module")
def large() -> Picture:
    """160 x 128 pixels: nine tiles of 64, since they overlap."""
    return photo_like(160, 128)


def tiled(folder: Path, large: Picture, **more: Any) -> JobRequest:
    wishes = {"strength": 0.5, "width_px": 160, "height_px": 128, "tile_px": 64, **more}
    return job_request("tiled", folder, picture=large, **wishes)


def test_company_of_a_tiles_size_changes_nothing(
    sd1_checkpoint: Path, large: Picture, photo: Picture
) -> None:
    beside = [
        job_request("text", sd1_checkpoint, steps=6, scheduler="Euler"),
        job_request("picture", sd1_checkpoint, steps=6, picture=photo, strength=0.6),
        job_request("unguided", sd1_checkpoint, steps=9, guidance_scale=1.0),
    ]
    for scheduler in ("DDIM", "Heun", "Euler a", "DPM++ 2M"):
        request = tiled(sd1_checkpoint, large, scheduler=scheduler)
        together, alone = Driven(max_rows=16), Driven()
        together.finish(request, *beside)
        alone.finish(request)
        assert worst_difference(together.picture("tiled"), alone.picture("tiled")) <= 1
        for one in beside:
            by_itself = Driven()
            by_itself.finish(one)
            assert worst_difference(together.picture(one.job_id), by_itself.picture(one.job_id)) <= 1


def test_strict_pictures_are_the_same_to_the_byte(sd1_checkpoint: Path, large: Picture) -> None:
    request = tiled(sd1_checkpoint, large, scheduler="Euler a")
    together, alone = Driven(strict_rows=4), Driven(strict_rows=4)
    together.finish(request, job_request("text", sd1_checkpoint, steps=6))
    alone.finish(request)
    assert np.array_equal(together.picture("tiled"), alone.picture("tiled"))


def test_work_is_counted_in_tiles_and_progress_in_steps(sd1_checkpoint: Path, large: Picture) -> None:
    driven = Driven()
    request = tiled(sd1_checkpoint, large)
    driven.finish(request)
    assert driven.engine.passes == 2 * 9
    steps = [event.step for event in driven.progress("tiled")]
    assert steps == sorted(steps)
    assert set(steps) == {0, 1, 2}
    assert driven.finished("tiled").steps_run == 2


def test_masks_passes_and_previews_work_in_tiles(sd1_checkpoint: Path, large: Picture) -> None:
    mask = np.zeros(large.shape[:2], np.uint8)
    mask[32:96, 40:120] = 255
    driven = Driven()
    driven.finish(tiled(sd1_checkpoint, large, mask=mask, previews=True))
    painted = driven.picture("tiled")
    assert np.array_equal(painted[mask == 0], large[mask == 0])
    assert worst_difference(painted, large) > 10


def test_tiles_give_about_what_the_whole_gives(sd1_checkpoint: Path, large: Picture) -> None:
    """Nearer to it than it is to the photo."""
    whole, in_tiles = Driven(), Driven()
    whole.finish(tiled(sd1_checkpoint, large, tile_px=None))
    in_tiles.finish(tiled(sd1_checkpoint, large))
    one, other = (driven.picture("tiled").astype(float) for driven in (whole, in_tiles))
    assert np.abs(one - other).mean() < np.abs(one - large).mean()
    assert np.abs(one - other).max() > 1
