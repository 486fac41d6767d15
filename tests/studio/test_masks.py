"""Masks of tasks: read like seed images, fitted with them, and gone when the task is over."""

import base64
from typing import Any

import numpy as np
import pytest

from tests.studio.conftest import Workplace, encoded, error_of, half_white, item_of, transformation


async def test_a_mask_is_fitted_like_its_seed_image(workplace: Workplace) -> None:
    item_of(await workplace.perform(transformation(maskImage=half_white())))
    [job] = workplace.engine.jobs

    assert job.mask is not None
    assert job.mask.shape == (128, 128)
    assert job.mask.dtype == np.uint8
    assert (job.mask[:, :56] == 0).all()
    assert (job.mask[:, 72:] == 255).all()


async def test_an_uploaded_mask_is_named_by_its_uuid(workplace: Workplace) -> None:
    upload = {"taskType": "imageUpload", "taskUUID": "mask-upload", "image": half_white()}
    uploaded = item_of(await workplace.perform(upload))
    item_of(await workplace.perform(transformation(maskImage=uploaded["imageUUID"])))

    assert workplace.engine.jobs[0].mask is not None


@pytest.mark.parametrize("mask", ["not a picture!", base64.b64encode(b"GIF89a nothing").decode()])
async def test_what_is_no_picture_is_refused_by_its_name(workplace: Workplace, mask: str) -> None:
    error = error_of(await workplace.perform(transformation(maskImage=mask)))

    assert (error["code"], error["parameter"]) == ("invalidMaskImage", "maskImage")
    assert workplace.engine.jobs == []


async def test_nothing_of_a_mask_stays_when_the_task_is_over(workplace: Workplace) -> None:
    item_of(await workplace.perform(transformation(maskImage=half_white(), outputFormat="JPG")))
    # Seed image and mask go after the reply.
    await workplace.studio.drain(grace_s=10)

    assert list((workplace.settings.data_dir / "images").rglob("*.png")) == []


async def test_a_margin_reaches_the_engine(workplace: Workplace) -> None:
    item_of(await workplace.perform(transformation(maskImage=half_white(), maskMargin=64)))
    assert workplace.engine.jobs[0].mask_margin_px == 64


def continued(**changes: Any) -> dict[str, Any]:
    """A picture of 128 x 64, continued to 192 x 128."""
    outpaint = {"top": 64, "left": 64}
    return transformation(
        **{
            "seedImage": encoded((128, 64), (10, 200, 30)),
            "outpaint": outpaint,
            "width": 192,
            "height": 128,
            **changes,
        }
    )


@pytest.mark.parametrize("blur", [0, 8])
async def test_a_continued_picture_is_extended_and_masked(workplace: Workplace, blur: int) -> None:
    item_of(await workplace.perform(continued(outpaint={"top": 64, "left": 64, "blur": blur})))
    [job] = workplace.engine.jobs

    assert job.picture is not None
    assert job.mask is not None
    assert job.picture.shape == (128, 192, 3)
    assert (job.picture == (10, 200, 30)).all()
    assert (job.mask[:64] == 255).all()
    assert (job.mask[:, :64] == 255).all()
    assert (job.mask[64 + blur :, 64 + blur :] == 0).all()
    assert bool(((job.mask > 0) & (job.mask < 255)).any()) is bool(blur)


@pytest.mark.parametrize(
    ("changes", "parameter", "said"),
    [
        ({"width": 256}, ["width", "outpaint"], "128 + 64 = 192, not 256"),
        ({"height": 192}, ["height", "outpaint"], "64 + 64 = 128, not 192"),
        ({"outpaint": {"right": 128, "top": 64}}, ["width", "outpaint"], "128 + 128 = 256, not 192"),
        ({"seedImage": encoded((100, 64))}, ["width", "outpaint"], "100 + 64 = 164, not 192"),
    ],
)
async def test_a_size_that_is_not_the_sum_is_refused(
    workplace: Workplace, changes: dict[str, Any], parameter: list[str], said: str
) -> None:
    error = error_of(await workplace.perform(continued(**changes)))

    assert (error["code"], error["parameter"]) == ("incompatibleParameters", parameter)
    assert said in error["message"]
    assert workplace.engine.jobs == []
