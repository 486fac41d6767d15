"""What a stopped or crashed server leaves unfinished goes on when it is started again."""

import base64
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, select

from tests.studio.conftest import (
    CALLER,
    Workplace,
    encoded,
    error_of,
    half_white,
    item_of,
    open_result,
    transformation,
)
from underpaint.database import rows, unwritten_files
from underpaint.engine.checkpoint_files import checkpoint_name, checkpoint_path
from underpaint.files import replace_file
from underpaint.images import ImageNotFound
from underpaint.studio import journal, picture_files
from underpaint.studio.image_inference import MAX_ATTEMPTS
from underpaint.studio.options import CHECKPOINTS
from underpaint.transactions import begin


def question(task: dict[str, object]) -> dict[str, object]:
    return {"taskType": "getResponse", "taskUUID": task["taskUUID"]}


async def crash_while_working(workplace: Workplace, task: dict[str, object]) -> None:
    """Accept a task and never come back to it, as a killed server does."""
    workplace.engine.holding = True
    await workplace.perform(task)
    await workplace.engine.begun.wait()


async def test_an_accepted_task_ends_with_the_same_picture(open_workplace: Callable[..., Workplace]) -> None:
    before = open_workplace()
    task = transformation(deliveryMethod="async", seed=..., numberResults=2, strength=0.3)
    await crash_while_working(before, task)
    after = open_workplace()
    await after.studio.resume()
    reply = await after.perform(question(task), hold_s=60)
    assert [item["seed"] for item in reply.data] == [job.seed for job in before.engine.jobs]
    for first, second in zip(before.engine.jobs, after.engine.jobs, strict=True):
        assert (first.seed, first.strength, first.prompt) == (second.seed, second.strength, second.prompt)
        assert first.picture is not None
        assert second.picture is not None
        assert (first.picture == second.picture).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"maskImage": half_white(), "maskMargin": 32},
        {"seedImage": encoded((64, 128)), "outpaint": {"left": 64, "blur": 8}},
    ],
    ids=["masked", "continued"],
)
async def test_a_masked_task_keeps_its_mask(
    open_workplace: Callable[..., Workplace], changes: dict[str, object]
) -> None:
    before = open_workplace()
    task = transformation(deliveryMethod="async", **changes)
    await crash_while_working(before, task)
    after = open_workplace()
    await after.studio.resume()
    await after.perform(question(task), hold_s=60)
    [first], [second] = before.engine.jobs, after.engine.jobs
    assert first.mask is not None
    assert second.mask is not None
    assert (first.mask == second.mask).all()
    assert (first.picture == second.picture).all()  # type: ignore[union-attr]
    assert first.mask_margin_px == second.mask_margin_px


async def test_a_task_that_is_there_at_every_crash_is_failed(
    open_workplace: Callable[..., Workplace],
) -> None:
    task = transformation(deliveryMethod="async")
    await crash_while_working(open_workplace(), task)
    for _ in range(MAX_ATTEMPTS - 1):
        workplace = open_workplace()
        workplace.engine.holding = True
        await workplace.studio.resume()
    last = open_workplace()
    await last.studio.resume()
    assert last.engine.jobs == []
    assert error_of(await last.perform(question(task)))["code"] == "inferenceError"


async def test_orderly_stops_do_not_count_against_a_task(open_workplace: Callable[..., Workplace]) -> None:
    task = transformation(deliveryMethod="async")
    first = open_workplace()
    await crash_while_working(first, task)
    await first.studio.drain(grace_s=0)
    for _ in range(MAX_ATTEMPTS):
        workplace = open_workplace()
        workplace.engine.holding = True
        await workplace.studio.resume()
        await workplace.engine.begun.wait()
        await workplace.studio.drain(grace_s=0)
    last = open_workplace()
    await last.studio.resume()
    assert item_of(await last.perform(question(task), hold_s=60))["status"] == "success"


async def test_every_attempt_at_a_picture_has_one_checkpoint_which_goes_with_the_task(
    open_workplace: Callable[..., Workplace], tmp_path: Path
) -> None:
    before, task = open_workplace(), transformation(deliveryMethod="async", numberResults=2)
    await crash_while_working(before, task)
    names = [job.checkpoint for job in before.engine.jobs]
    assert None not in names
    assert len(set(names)) == 2
    files = [checkpoint_path(tmp_path / CHECKPOINTS, str(name)) for name in names]
    stray = checkpoint_path(tmp_path / CHECKPOINTS, checkpoint_name("", "of another task", 0))
    for file in (*files, stray):
        replace_file(file, b"left by the engine")
        os.utime(file, (0, 0))

    after = open_workplace()
    await after.studio._inference.sweep()
    assert stray.exists(), "until it is known which tasks go on"
    after.engine.holding = True
    await after.studio.resume()
    await after.engine.begun.wait()
    assert [job.checkpoint for job in after.engine.jobs] == names
    await after.studio._inference.sweep()
    assert not stray.exists()
    assert all(file.exists() for file in files)
    after.engine.release()
    await after.studio.drain(grace_s=10)
    assert not any(file.exists() for file in files)


async def test_finished_tasks_do_not_run_again(open_workplace: Callable[..., Workplace]) -> None:
    task = transformation()
    done = item_of(await open_workplace().perform(task))
    after = open_workplace()
    await after.studio.resume()
    assert after.engine.jobs == []
    assert item_of(await after.perform(question(task)))["imageUUID"] == done["imageUUID"]
    assert error_of(await after.perform(task))["code"] == "conflictTaskUUID"


async def test_a_drained_studio_refuses_tasks_and_keeps_unfinished_ones(
    open_workplace: Callable[..., Workplace],
) -> None:
    workplace = open_workplace()
    task = transformation(deliveryMethod="async")
    await crash_while_working(workplace, task)
    await workplace.studio.drain(grace_s=0.01)
    refused = await workplace.perform(transformation())
    assert refused.errors[0][0] == 503
    assert error_of(refused)["code"] == "serviceUnavailable"
    assert not workplace.studio.status().ready
    after = open_workplace()
    await after.studio.resume()
    assert item_of(await after.perform(question(task), hold_s=5))["status"] == "success"


async def test_the_seed_image_is_kept_as_it_came_until_the_task_is_over(
    open_workplace: Callable[..., Workplace], tmp_path: Path
) -> None:
    workplace = open_workplace()
    seed_image = encoded(color=(1, 2, 3))
    task = transformation(seedImage=seed_image, outputFormat="JPG", deliveryMethod="async")
    await crash_while_working(workplace, task)
    [kept] = rows(workplace.database, select(unwritten_files.c.data))
    assert kept.data == base64.b64decode(seed_image)
    workplace.engine.release()
    await workplace.studio.drain(grace_s=10)
    assert [path.suffix for path in stored_files(tmp_path)] == [".jpg"]
    assert rows(workplace.database, select(unwritten_files)) == []
    record = workplace.journal.find(CALLER.owner, str(task["taskUUID"]))
    assert record is not None
    assert record.status == "success"


@pytest.mark.parametrize("size", ["small", "large"])
async def test_an_acknowledged_task_is_on_the_disk(
    open_workplace: Callable[..., Workplace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    """By a commit that waits for the disk, or by a flush."""
    if size == "large":
        monkeypatch.setattr(picture_files, "LARGEST_UNWRITTEN", 0)
    flushed = _noting_flushed_files(monkeypatch)
    unflushed_commits = _noting_unflushed_commits(monkeypatch)
    workplace = open_workplace()
    task = transformation(deliveryMethod="async")
    await crash_while_working(workplace, task)
    kept = stored_files(tmp_path)
    assert set(kept) <= flushed
    assert len(kept) == (size == "large")
    assert unflushed_commits == []

    again = open_workplace()
    await again.studio.resume()
    await again.studio.drain(grace_s=10)
    record = again.journal.find(CALLER.owner, str(task["taskUUID"]))
    assert record is not None
    assert record.status == "success"


async def test_a_result_is_there_before_it_is_a_file_and_afterwards(
    open_workplace: Callable[..., Workplace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = _noting_flushed_files(monkeypatch)
    workplace = open_workplace()
    items = [item_of(await workplace.perform(transformation(seedImage=..., strength=...))) for _ in range(2)]
    pictures = [(await open_result(workplace, item)).tobytes() for item in items]
    assert stored_files(tmp_path) == []

    again = open_workplace()
    assert [(await open_result(again, item)).tobytes() for item in items] == pictures
    # A crash in the midst of it may have left anything under the name, which nobody gets to see after the start.
    name = items[0]["imageURL"].rpartition("/")[2]
    (tmp_path / "images" / name[:2]).mkdir()
    (tmp_path / "images" / name[:2] / name).write_bytes(b"")
    await again.studio.resume()
    assert [(await open_result(again, item)).tobytes() for item in items] == pictures
    assert len(stored_files(tmp_path)) == 2
    assert set(stored_files(tmp_path)) <= flushed
    assert rows(again.database, select(unwritten_files)) == []


async def test_a_picture_that_is_deleted_before_it_is_a_file_never_becomes_one(
    workplace: Workplace, tmp_path: Path
) -> None:
    item = item_of(await workplace.perform(transformation(seedImage=..., strength=...)))
    assert await workplace.pictures.delete(item["imageUUID"], owner=CALLER.owner)
    with pytest.raises(ImageNotFound):
        await workplace.pictures.data_of(item["imageUUID"], "jpg")
    workplace.pictures.files.write_behind()
    assert stored_files(tmp_path) == []
    assert rows(workplace.database, select(unwritten_files)) == []


async def test_what_is_not_a_file_yet_is_bounded(
    workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = _noting_flushed_files(monkeypatch)
    item_of(await workplace.perform(transformation(seedImage=..., strength=...)))
    [waiting] = rows(workplace.database, select(unwritten_files.c.size_bytes))
    monkeypatch.setattr(picture_files, "UNWRITTEN_AT_MOST", waiting.size_bytes)
    item_of(await workplace.perform(transformation(seedImage=..., strength=...)))
    [kept] = stored_files(tmp_path)
    assert kept in flushed
    workplace.pictures.files.write_behind()
    item_of(await workplace.perform(transformation(seedImage=..., strength=...)))
    assert len(rows(workplace.database, select(unwritten_files))) == 1


def stored_files(folder: Path) -> list[Path]:
    return [path for path in (folder / "images").rglob("*") if path.is_file()]


def _noting_unflushed_commits(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    noted: list[object] = []

    def note_and_begin(database: Engine, *, flush: bool = True) -> AbstractContextManager[Connection]:
        if not flush:
            noted.append(database)
        return begin(database, flush=flush)

    monkeypatch.setattr(journal, "begin", note_and_begin)
    return noted


def _noting_flushed_files(monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """Files that were flushed, by the names that they have afterwards."""
    flushed: set[Path] = set()
    fsync = os.fsync

    def note(descriptor: int) -> None:
        fsync(descriptor)
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        flushed.add(path.with_name(".".join(path.name.split(".")[:2])))

    monkeypatch.setattr(os, "fsync", note)
    return flushed
