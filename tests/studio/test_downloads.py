"""Downloads of models, which may take hours, keep nobody waiting who does not need them."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.studio.conftest import Workplace, error_of, item_of, transformation
from tests.studio.test_model_upload import upload
from underpaint.blocking import MOST_THREADS
from underpaint.catalog import ModelEntry
from underpaint.catalog.download import DownloadFailed
from underpaint.catalog.embedded_entry import EMBEDDED
from underpaint.catalog.entry import ModelFiles
from underpaint.catalog.installed import InstalledModels
from underpaint.embedded import checkpoint_dir
from underpaint.studio import lookups, model_upload, safety
from underpaint.studio.caller import Reply
from underpaint.studio.cancellation import Cancellation

MORE_THAN_THE_POOL = MOST_THREADS + 2
"""Threads of `in_thread`, and two."""


class Hub:
    """Stands in for one that does not answer until it is let."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.answers = threading.Event()
        self.failure: DownloadFailed | None = None

        def local_files(entry: ModelEntry) -> Path:
            if entry.files is None or entry.files.form != "hub":
                return checkpoint_dir("1@2")
            self.asked.append(entry.air)
            self.answers.wait(60)
            if self.failure is not None:
                raise self.failure
            return checkpoint_dir("1@2")

        monkeypatch.setattr(lookups, "local_files", local_files)


def listed(workplace: Workplace, count: int) -> list[str]:
    """Identifiers of models that have to be downloaded."""
    airs = [f"test:{number}@1" for number in range(1, count + 1)]
    for air in airs:
        entry = ModelEntry(
            air=air,
            name="On the hub",
            version="1",
            architecture=EMBEDDED.architecture,
            files=ModelFiles(form="hub", location=f"somebody/{air}"),
        )
        InstalledModels(workplace.settings.data_dir).add(entry)
    return airs


async def another_task_does_not_wait(workplace: Workplace, waiting: list[asyncio.Task[Reply]]) -> None:
    async with asyncio.timeout(30):
        item_of(await workplace.perform(transformation()))
    assert not any(task.done() for task in waiting)


async def test_tasks_that_wait_for_downloads_keep_no_other_waiting(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(monkeypatch)
    airs = listed(workplace, MORE_THAN_THE_POOL)
    waiting = [asyncio.create_task(workplace.perform(transformation(model=air))) for air in airs]
    await another_task_does_not_wait(workplace, waiting)
    hub.answers.set()
    for task in waiting:
        item_of(await task)


async def test_model_uploads_that_wait_for_the_hub_keep_no_task_waiting(
    open_workplace: Callable[..., Workplace], monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace, answers = open_workplace(model_upload_hosts="huggingface.co"), threading.Event()

    def local_files(entry: ModelEntry, **_: object) -> Path:
        answers.wait(60)
        raise DownloadFailed("the hub cannot be reached")

    monkeypatch.setattr(model_upload, "local_files", local_files)
    waiting = [
        asyncio.create_task(workplace.perform(upload(f"someone/model-{number}", air=f"mine:{number}@1")))
        for number in range(1, MORE_THAN_THE_POOL + 1)
    ]
    await another_task_does_not_wait(workplace, waiting)
    answers.set()
    for task in waiting:
        assert error_of(await task)["code"] == "downloadFailed"


async def test_a_safety_checker_is_downloaded_once_and_keeps_no_other_task_waiting(
    open_workplace: Callable[..., Workplace], monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace, answers = open_workplace(safety_model="someone/checker"), threading.Event()
    asked: list[str] = []

    def safety_checker(name: str, **_: object) -> Path:
        asked.append(name)
        answers.wait(60)
        raise DownloadFailed("the hub cannot be reached")

    monkeypatch.setattr(safety, "safety_checker", safety_checker)
    waiting = [
        asyncio.create_task(workplace.perform(transformation(checkNSFW=True)))
        for _ in range(MORE_THAN_THE_POOL)
    ]
    await another_task_does_not_wait(workplace, waiting)
    answers.set()
    for task in waiting:
        assert error_of(await task)["code"] == "modelNotReady"
    assert asked == ["someone/checker"]


async def test_a_model_is_downloaded_once_however_many_wait_and_whoever_leaves(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(monkeypatch)
    [air] = listed(workplace, 1)
    gone = Cancellation()
    first = asyncio.create_task(workplace.perform(transformation(model=air), cancellation=gone))
    others = [asyncio.create_task(workplace.perform(transformation(model=air))) for _ in range(3)]
    async with asyncio.timeout(30):
        while not hub.asked:  # noqa: ASYNC110 -- another thread asks
            await asyncio.sleep(0.01)
        gone.request()
        assert error_of(await first)["code"] == "taskCancelled"
        hub.answers.set()
        for task in others:
            item_of(await task)
    assert hub.asked == [air]


async def test_a_download_that_fails_fails_those_who_wait_and_may_be_tried_again(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(monkeypatch)
    hub.failure = DownloadFailed("the hub cannot be reached")
    [air] = listed(workplace, 1)
    waiting = [asyncio.create_task(workplace.perform(transformation(model=air))) for _ in range(2)]
    hub.answers.set()
    for task in waiting:
        error = error_of(await task)
        assert (error["code"], error["parameter"]) == ("modelNotReady", "model")
    hub.failure = None
    item_of(await workplace.perform(transformation(model=air)))
