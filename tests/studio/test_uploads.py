import base64
import io
import time
import uuid
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select, update

from tests.studio.conftest import STRANGER, Workplace, encoded, error_of, item_of, open_result, transformation
from underpaint.database import images


def upload(image: str, **changes: Any) -> dict[str, Any]:
    return {"taskType": "imageUpload", "taskUUID": str(uuid.uuid4()), "image": image, **changes}


def media(operation: str, what: str) -> dict[str, Any]:
    return {"taskType": "mediaStorage", "taskUUID": str(uuid.uuid4()), "operation": operation, "media": what}


@pytest.mark.parametrize("form", ["{}", "data:image/png;base64,{}"])
async def test_an_upload_is_stored_and_served(workplace: Workplace, form: str) -> None:
    task = upload(form.format(encoded()))
    item = item_of(await workplace.perform(task))
    assert (item["taskType"], item["taskUUID"]) == ("imageUpload", task["taskUUID"])
    picture = await open_result(workplace, item)
    assert picture.size == (96, 64)
    assert (np.asarray(picture) == (200, 40, 90)).all()


async def test_an_upload_can_be_transformed_any_number_of_times(workplace: Workplace) -> None:
    item = item_of(await workplace.perform(upload(encoded())))
    for _ in range(3):
        item_of(await workplace.perform(transformation(seedImage=item["imageUUID"].upper())))
    assert len(workplace.engine.jobs) == 3


async def test_a_large_upload_is_stored_at_2048_pixels(workplace: Workplace) -> None:
    item = item_of(await workplace.perform(upload(encoded((4096, 1024)))))
    assert (await open_result(workplace, item)).size == (2048, 512)


@pytest.mark.parametrize("format", ["BMP", "GIF", "JPEG", "WEBP"])
async def test_upload_formats(workplace: Workplace, format: str) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), "navy").save(stream, format)
    item = item_of(await workplace.perform(upload(base64.b64encode(stream.getvalue()).decode())))
    assert (await open_result(workplace, item)).size == (40, 30)


async def test_what_is_no_picture_is_refused(workplace: Workplace) -> None:
    error = error_of(await workplace.perform(upload(base64.b64encode(b"no picture" * 10).decode())))
    assert (error["code"], error["parameter"]) == ("invalidImage", "image")


async def test_media_storage_uploads_and_deletes(workplace: Workplace) -> None:
    stored = item_of(await workplace.perform(media("upload", encoded())))
    assert stored["operation"] == "upload"
    assert stored["mediaURL"].endswith(f"{stored['mediaUUID']}.png")
    deleted = item_of(await workplace.perform(media("delete", stored["mediaUUID"])))
    assert (deleted["operation"], deleted["mediaUUID"]) == ("delete", stored["mediaUUID"])
    error = error_of(await workplace.perform(transformation(seedImage=stored["mediaUUID"])))
    assert error["code"] == "invalidSeedImage"


async def test_only_the_owner_deletes(workplace: Workplace) -> None:
    stored = item_of(await workplace.perform(media("upload", encoded())))
    error = error_of(await workplace.perform(media("delete", stored["mediaUUID"]), STRANGER))
    assert error["code"] == "mediaNotFound"
    item_of(await workplace.perform(transformation(seedImage=stored["mediaUUID"])))


async def test_use_prolongs_an_upload(workplace: Workplace) -> None:
    item = item_of(await workplace.perform(upload(encoded())))
    with workplace.database.begin() as connection:
        connection.execute(update(images).values(expires_s=time.time() + 60))
    item_of(await workplace.perform(transformation(seedImage=item["imageUUID"])))
    with workplace.database.connect() as connection:
        query = select(images.c.expires_s).where(images.c.image_uuid == item["imageUUID"])
        assert connection.execute(query).scalar_one() > time.time() + 86400


async def test_what_has_expired_is_gone(workplace: Workplace) -> None:
    item = item_of(await workplace.perform(upload(encoded())))
    with workplace.database.begin() as connection:
        connection.execute(update(images).values(expires_s=time.time() - 1))
    assert await workplace.studio.open_image(item["imageUUID"], "png") is None
    await workplace.pictures.remove_expired()
    assert list(workplace.settings.data_dir.glob("images/*/*")) == []
    error = error_of(await workplace.perform(transformation(seedImage=item["imageUUID"])))
    assert error["code"] == "invalidSeedImage"


async def test_nothing_but_the_right_name_opens_a_picture(workplace: Workplace) -> None:
    item = item_of(await workplace.perform(upload(encoded())))
    assert await workplace.studio.open_image(item["imageUUID"], "png") is not None
    assert await workplace.studio.open_image(item["imageUUID"], "jpg") is None
    assert await workplace.studio.open_image(item["imageUUID"], "../../underpaint.db") is None
    assert await workplace.studio.open_image("../underpaint", "db") is None
