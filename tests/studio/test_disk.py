"""The disk has a budget that is asked before any work, and what nothing refers to goes."""

import base64
import errno
import io
import os
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image
from sqlalchemy import select

from tests.studio.conftest import CALLER, STRANGER, Workplace, encoded, error_of, item_of, transformation
from underpaint.database import rows, unwritten_files
from underpaint.engine.checkpoint_files import checkpoint_name, checkpoint_path
from underpaint.images import ImageStore
from underpaint.studio import picture_files
from underpaint.studio.journal import Journal
from underpaint.studio.options import CHECKPOINTS

MEBI = 2**20


def upload(image: str) -> dict[str, Any]:
    return {"taskType": "imageUpload", "taskUUID": str(uuid.uuid4()), "image": image}


def noise(side_px: int) -> str:
    """A PNG that does not get smaller."""
    stream = io.BytesIO()
    Image.frombytes("RGB", (side_px, side_px), os.urandom(side_px * side_px * 3)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def files(workplace: Workplace) -> list[Path]:
    return [path for path in (workplace.settings.data_dir / "images").rglob("*") if path.is_file()]


async def test_a_budget_that_is_used_up_refuses_before_any_work(
    open_workplace: Callable[..., Workplace],
) -> None:
    workplace = open_workplace(disk_budget_bytes=MEBI)
    stored = item_of(await workplace.perform(upload(noise(550))))
    reply = await workplace.perform(transformation(width=512, height=512))
    assert reply.errors[0][0] == 507
    assert error_of(reply)["code"] == "storageQuotaExceeded"
    assert workplace.engine.jobs == []
    assert error_of(await workplace.perform(upload(noise(550))))["code"] == "storageQuotaExceeded"
    assert len(files(workplace)) == 1
    # A small one still fits, and once the large one is gone, so does everything.
    item_of(await workplace.perform(transformation(width=128, height=128)))
    delete = {
        "taskType": "mediaStorage",
        "taskUUID": "d",
        "operation": "delete",
        "media": stored["imageUUID"],
    }
    item_of(await workplace.perform(delete))
    item_of(await workplace.perform(transformation(width=512, height=512)))


async def test_what_is_in_the_queue_counts_as_if_it_were_stored(
    open_workplace: Callable[..., Workplace],
) -> None:
    workplace = open_workplace(disk_budget_bytes=MEBI)
    workplace.engine.holding = True
    item_of(await workplace.perform(transformation(width=512, height=512, deliveryMethod="async")))
    refused = await workplace.perform(transformation(width=512, height=512))
    assert error_of(refused)["code"] == "storageQuotaExceeded"
    workplace.engine.release()


async def test_checkpoints_of_unfinished_pictures_count(
    open_workplace: Callable[..., Workplace],
) -> None:
    workplace = open_workplace(disk_budget_bytes=MEBI)
    name = checkpoint_name("", "of another task", 0)
    kept = checkpoint_path(workplace.settings.data_dir / CHECKPOINTS, name)
    kept.parent.mkdir()
    kept.write_bytes(bytes(MEBI - 1000))
    task = transformation(width=128, height=128)
    assert error_of(await workplace.perform(task))["code"] == "storageQuotaExceeded"
    assert error_of(await workplace.perform(upload(noise(64))))["code"] == "storageQuotaExceeded"
    assert workplace.engine.jobs == []
    os.utime(kept, (time.time() - 100, time.time() - 100))
    await workplace.studio.resume()
    # What a sweep does, when nothing needs it any more.
    await workplace.studio._inference.sweep()
    item_of(await workplace.perform(task))


async def test_the_count_is_right_after_a_restart(open_workplace: Callable[..., Workplace]) -> None:
    first = open_workplace(disk_budget_bytes=MEBI)
    item_of(await first.perform(upload(noise(550))))
    item_of(await first.perform(transformation()))
    # The seed image goes after the reply.
    await first.studio.drain(grace_s=10)
    again = open_workplace()
    assert await again.pictures.used_bytes() == await first.pictures.used_bytes()
    assert await again.pictures.used_bytes() == sum(path.stat().st_size for path in files(again))


async def test_a_disk_that_is_nearly_full_refuses_before_any_work(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 10**12, 256 * MEBI - 1))
    assert error_of(await workplace.perform(transformation()))["code"] == "storageQuotaExceeded"
    assert error_of(await workplace.perform(upload(encoded())))["code"] == "storageQuotaExceeded"
    assert files(workplace) == []
    monkeypatch.undo()
    item_of(await workplace.perform(transformation()))


@pytest.mark.parametrize("written", ["seed image", "result", "record of the task", "record of the result"])
async def test_a_disk_that_is_full_all_the_same_fails_the_task_alone_and_leaves_nothing_behind(
    written: str, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    used_bytes = await workplace.pictures.used_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    # Small files are records, of which the last cases are.
    if "record" not in written:
        monkeypatch.setattr(picture_files, "LARGEST_UNWRITTEN", 0)
    put = ImageStore.put_blocking

    def put_or_fail(store: ImageStore, data: bytes, *, image_uuid: str, extension: str, flush: bool) -> None:
        # The seed image is stored as the PNG that it came as.
        if (extension == "png") == (written == "seed image"):
            full()
        put(store, data, image_uuid=image_uuid, extension=extension, flush=flush)

    if written == "record of the task":
        monkeypatch.setattr(Journal, "accept", full)
    elif written == "record of the result":
        monkeypatch.setattr(Journal, "add_result", full)
    else:
        monkeypatch.setattr(ImageStore, "put_blocking", put_or_fail)
    task = transformation(outputFormat="JPG")
    error = error_of(await workplace.perform(task))
    assert (error["code"], error["taskUUID"]) == ("storageQuotaExceeded", task["taskUUID"])
    assert "disk is full" in error["message"]
    monkeypatch.undo()
    # What failed may be sent again, and is not in the way of others.
    item_of(await workplace.perform(task))
    await workplace.studio.drain(grace_s=10)
    [result] = files(workplace)
    assert await workplace.pictures.used_bytes() - used_bytes == result.stat().st_size
    assert rows(workplace.database, select(unwritten_files)) == []


async def test_files_without_a_record_go_after_an_hour(workplace: Workplace) -> None:
    kept = item_of(await workplace.perform(transformation()))
    folder = workplace.settings.data_dir / "images"
    # The seed image goes after the reply.
    await workplace.studio.drain(grace_s=10)
    [first] = files(workplace)
    orphan = folder / "ab" / f"ab{str(uuid.uuid4())[2:]}.png"
    half = folder / "cd" / f"cd{str(uuid.uuid4())[2:]}.png#1"
    young = folder / "ab" / f"ab{str(uuid.uuid4())[2:]}.png"
    for path in (orphan, half, young):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    for path in (first, orphan, half):
        os.utime(path, (time.time() - 4000, time.time() - 4000))
    await workplace.pictures.remove_orphans()
    assert sorted(files(workplace)) == sorted([first, young])
    assert kept["imageUUID"] in first.name


async def test_an_image_of_one_key_is_not_for_another(open_workplace: Callable[..., Workplace]) -> None:
    workplace = open_workplace()
    mine = [
        item_of(await workplace.perform(upload(encoded())))["imageUUID"],
        item_of(await workplace.perform(transformation()))["imageUUID"],
    ]
    for image_uuid in mine:
        task = transformation(seedImage=image_uuid)
        error = error_of(await workplace.perform(task, STRANGER))
        nothing = error_of(await workplace.perform(transformation(seedImage=str(uuid.uuid4())), STRANGER))
        assert error["code"] == nothing["code"] == "invalidSeedImage"
        assert error["message"].replace(image_uuid, "") == nothing["message"].replace(
            nothing["message"].split("image ")[1][:36], ""
        )
        item_of(await workplace.perform(task, CALLER))


async def test_by_setting_it_is_for_all_but_only_to_use(open_workplace: Callable[..., Workplace]) -> None:
    workplace = open_workplace(share_images=True)
    image_uuid = item_of(await workplace.perform(upload(encoded())))["imageUUID"]
    item_of(await workplace.perform(transformation(seedImage=image_uuid), STRANGER))
    delete = {"taskType": "mediaStorage", "taskUUID": "d", "operation": "delete", "media": image_uuid}
    assert error_of(await workplace.perform(delete, STRANGER))["code"] == "mediaNotFound"


async def test_a_task_with_a_picture_of_its_owner_goes_on_after_a_restart(
    open_workplace: Callable[..., Workplace],
) -> None:
    before = open_workplace()
    before.engine.holding = True
    task = transformation(deliveryMethod="async")
    item_of(await before.perform(task, STRANGER))
    await before.engine.begun.wait()
    after = open_workplace()
    await after.studio.resume()
    question = {"taskType": "getResponse", "taskUUID": task["taskUUID"]}
    assert item_of(await after.perform(question, STRANGER, hold_s=5))["status"] == "success"
