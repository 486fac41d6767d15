"""Masks of tasks: read like seed images, fitted with them, and gone when the task is over."""

import base64

import numpy as np
import pytest

from tests.studio.conftest import Workplace, error_of, half_white, item_of, transformation


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
