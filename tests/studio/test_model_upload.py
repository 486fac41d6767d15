"""modelUpload: what arrives whole and is what it is said to be is in the library, and nothing else is."""

import asyncio
import errno
import os
import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from tests.catalog.weights import sd_single_file, write_folder, write_safetensors
from tests.images.test_fetch import Writer, origin
from tests.studio.conftest import Workplace, error_of, item_of, transformation
from underpaint.catalog import ModelFiles
from underpaint.catalog.installed import InstalledModels
from underpaint.studio.caller import Item, Reply
from underpaint.studio.model_upload import PARTIAL_SUFFIX

Open = Callable[..., Workplace]


def upload(url: str, **changes: Any) -> dict[str, Any]:
    return {
        "taskType": "modelUpload",
        "taskUUID": str(uuid.uuid4()),
        "category": "checkpoint",
        "type": "base",
        "architecture": "sd1x",
        "format": "safetensors",
        "air": "mine:7@1",
        "uniqueIdentifier": "seven",
        "name": "Seven",
        "version": "one",
        "downloadURL": url,
        "defaultSteps": 25,
        "defaultGuidanceScale": 6.5,
        "private": True,
        "tags": ["portrait"],
        **changes,
    }


@pytest.fixture
def weights(tmp_path: Path) -> bytes:
    return write_safetensors(tmp_path / "elsewhere.safetensors", sd_single_file()).read_bytes()


@pytest.fixture
def open_library(open_workplace: Open) -> Open:
    return lambda **settings: open_workplace(
        **{"model_upload_hosts": "127.0.0.1", "fetch_allow_private": True, **settings}
    )


def answer(body: bytes, *, length: int | None = None) -> bytes:
    announced = len(body) if length is None else length
    return f"HTTP/1.1 200 OK\r\nContent-Length: {announced}\r\nConnection: close\r\n\r\n".encode() + body


def stored(workplace: Workplace) -> list[Path]:
    return sorted((workplace.settings.data_dir / "models").glob("*"))


async def test_a_model_goes_through_its_stages_and_can_be_found(open_library: Open, weights: bytes) -> None:
    workplace = open_library()
    async with origin(answer(weights)) as there:
        reply = await workplace.perform(upload(there.url))

    assert [item["status"] for item in reply.data] == ["validated", "downloaded", "stored", "ready"]
    assert {item["air"] for item in reply.data} == {"mine:7@1"}
    [path] = stored(workplace)
    assert path.read_bytes() == weights
    search = {"taskType": "modelSearch", "taskUUID": str(uuid.uuid4()), "search": "Seven"}
    [found] = item_of(await workplace.perform(search))["results"]
    assert (found["air"], found["architecture"], found["private"]) == ("mine:7@1", "sd1x", True)
    assert (found["defaultSteps"], found["defaultCFG"], found["tags"]) == (25, 6.5, ["portrait"])


async def test_each_stage_is_said_as_it_comes(open_library: Open, weights: bytes) -> None:
    workplace = open_library()
    said: list[str] = []
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(writer: Writer) -> None:
        asked.set()
        await go_on.wait()
        writer.write(answer(weights))
        await writer.drain()

    async def hear(items: Sequence[Item]) -> None:
        said.extend(item["status"] for item in items)

    async with origin(slowly) as there:
        task = asyncio.create_task(workplace.perform(upload(there.url), on_part=hear))
        await asked.wait()
        assert said == ["validated"]
        go_on.set()
        reply = await task
    assert said == ["validated", "downloaded", "stored"]
    assert [item["status"] for item in reply.data] == ["ready"]


async def test_what_fails_ends_the_stages(open_library: Open) -> None:
    said: list[str] = []

    async def hear(items: Sequence[Item]) -> None:
        said.extend(item["status"] for item in items)

    async with origin(answer(b"PK")) as there:
        reply = await open_library().perform(upload(there.url), on_part=hear)
    assert said == ["validated", "downloaded"]
    assert error_of(reply)["code"] == "invalidDownloadURL"


async def test_without_an_allowed_host_no_model_is_taken(workplace: Workplace) -> None:
    error = error_of(await workplace.perform(upload("https://models.example.com/seven.safetensors")))

    assert error["code"] == "insufficientPermissions"
    assert "model_upload_hosts" in error["message"]


def refused(reply: Reply) -> str:
    error = error_of(reply)
    assert (error["code"], error["parameter"]) == ("invalidDownloadURL", "downloadURL")
    return str(error["message"])


async def test_what_is_in_an_allowed_folder_is_listed_where_it_is(
    open_workplace: Open, tmp_path: Path, weights: bytes
) -> None:
    allowed = tmp_path / "shelf"
    file = write_safetensors(allowed / "seven.safetensors", sd_single_file())
    folder = write_folder(allowed / "eight", in_channels=9)
    workplace = open_workplace(model_upload_folders=str(allowed))

    reply = await workplace.perform(upload(str(file)))
    assert [item["status"] for item in reply.data] == ["validated", "downloaded", "stored", "ready"]
    eight = upload(f"file://{folder}", air="mine:8@1", type="inpainting")
    assert not (await workplace.perform(eight)).errors
    assert stored(workplace) == []
    listed = InstalledModels(workplace.settings.data_dir).entries()
    assert [each.files and (each.files.form, each.files.location) for each in listed.values()] == [
        ("file", str(file)),
        ("folder", str(folder)),
    ]
    assert "inpainting" in refused(await workplace.perform(upload(str(folder), air="mine:9@1")))
    # Hosts are another setting's affair.
    assert "model_upload_hosts" in refused(
        await workplace.perform(upload("https://127.0.0.1/x", air="mine:9@1"))
    )
    assert "model_upload_hosts" in refused(await workplace.perform(upload("someone/a-model", air="mine:9@1")))


async def test_nothing_outside_of_allowed_folders_is_looked_at(open_workplace: Open, tmp_path: Path) -> None:
    allowed, elsewhere = tmp_path / "shelf", tmp_path / "elsewhere"
    file = write_safetensors(elsewhere / "seven.safetensors", sd_single_file())
    allowed.mkdir()
    (allowed / "link.safetensors").symlink_to(file)
    workplace = open_workplace(model_upload_folders=str(allowed))
    for given in (
        str(file),
        f"file://{file}",
        str(allowed / "link.safetensors"),
        str(allowed / ".." / "elsewhere" / "seven.safetensors"),
        f"{allowed}-too/seven.safetensors",
        str(elsewhere / "there-is-no-such-file"),
        "/etc/passwd",
        "/a\0b",
    ):
        assert "model_upload_folders" in refused(await workplace.perform(upload(given))), given
    for given in ("ftp://127.0.0.1/x", "seven", "a/b/c", "../x", "C:\\models", "data:,x"):
        assert "no URL" in refused(await workplace.perform(upload(given))), given
    missing = refused(await workplace.perform(upload(str(allowed / "missing.safetensors"))))
    assert str(tmp_path) not in missing


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub whose one repository, someone/a-model, is in the cache already; nothing else can be fetched."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("underpaint.catalog.download.is_offline", lambda: False)
    storage = tmp_path / "models--someone--a-model"
    (storage / "refs").mkdir(parents=True)
    (storage / "refs" / "main").write_text(COMMIT)
    return write_folder(storage / "snapshots" / COMMIT)


async def test_a_repository_of_the_hub_is_checked_and_listed(open_library: Open, hub: Path) -> None:
    workplace = open_library(model_upload_hosts="huggingface.co")
    said = refused(await workplace.perform(upload("someone/a-model", architecture="sdxl")))
    assert "its files are sd1x" in said
    assert str(hub) not in said
    reply = await workplace.perform(upload(f"someone/a-model@{COMMIT}"))
    assert [item["status"] for item in reply.data] == ["validated", "downloaded", "stored", "ready"]
    [listed] = InstalledModels(workplace.settings.data_dir).entries().values()
    assert listed.files == ModelFiles(form="hub", location="someone/a-model", revision=COMMIT)
    assert (listed.architecture, listed.type, listed.hub_id) == ("sd1x", "base", "someone/a-model")


async def test_a_repository_is_fetched_where_the_hub_is_allowed_and_its_files_are_not_too_large(
    open_library: Open, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "huggingface.co" in refused(await open_library().perform(upload("someone/a-model")))
    workplace = open_library(model_upload_hosts="*", max_model_bytes=5000)
    large = SimpleNamespace(rfilename="unet/model.safetensors", size=5001)
    monkeypatch.setattr("huggingface_hub.model_info", lambda *_, **__: SimpleNamespace(siblings=[large]))
    error = error_of(await workplace.perform(upload("someone/another")))
    assert (error["code"], error["parameter"]) == ("downloadFailed", "downloadURL")
    assert "5001 bytes" in error["message"]
    monkeypatch.setattr("underpaint.catalog.download.is_offline", lambda: True)
    error = error_of(await workplace.perform(upload("someone/another")))
    assert "work offline" in error["message"]
    assert InstalledModels(workplace.settings.data_dir).entries() == {}


async def test_another_host_is_not_asked(open_library: Open) -> None:
    error = error_of(await open_library().perform(upload("https://models.example.com/seven.safetensors")))

    assert (error["code"], error["parameter"]) == ("invalidDownloadURL", "downloadURL")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architecture": "sdxl"}, "sdxl"),
        ({"category": "lora", "type": None}, "lora"),
        ({"type": "inpainting"}, "inpainting"),
    ],
)
async def test_what_is_not_what_the_task_says_is_refused_and_gone(
    open_library: Open, weights: bytes, changes: dict[str, Any], said: str
) -> None:
    workplace = open_library()
    async with origin(answer(weights)) as there:
        error = error_of(await workplace.perform(upload(there.url, **changes)))

    assert error["code"] == "invalidDownloadURL"
    assert said in error["message"]
    assert str(workplace.settings.data_dir) not in error["message"]
    assert stored(workplace) == []


@pytest.mark.parametrize("body", [b"PK\x03\x04" + bytes(100), b"\x80\x02}", b"", b"<html>not found</html>"])
async def test_what_is_no_safetensors_file_is_refused_and_gone(open_library: Open, body: bytes) -> None:
    workplace = open_library()
    async with origin(answer(body)) as there:
        error = error_of(await workplace.perform(upload(there.url)))

    assert error["code"] == "invalidDownloadURL"
    assert stored(workplace) == []


async def test_a_file_cut_short_is_gone(open_library: Open, weights: bytes) -> None:
    workplace = open_library()
    async with origin(answer(weights[:-10], length=len(weights))) as there:
        error = error_of(await workplace.perform(upload(there.url)))

    assert error["code"] == "downloadFailed"
    assert stored(workplace) == []


async def test_a_file_beyond_the_limit_is_gone(open_library: Open, weights: bytes) -> None:
    workplace = open_library(max_model_bytes=1024)
    assert len(weights) > 1024
    async with origin(answer(weights)) as there:
        error = error_of(await workplace.perform(upload(there.url)))

    assert error["code"] == "downloadFailed"
    assert stored(workplace) == []


class Disk:
    """A disk of which a test says how many bytes are free; what the partial file has of them comes off."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, free_bytes: int) -> None:
        self.free_bytes = free_bytes
        self.asked: list[Path] = []
        monkeypatch.setattr(shutil, "disk_usage", self._usage)

    def _usage(self, folder: Path) -> SimpleNamespace:
        self.asked.append(folder)
        written = sum(path.stat().st_size for path in folder.glob("*.partial"))
        return SimpleNamespace(free=self.free_bytes - written)


def refused_for_lack_of_room(reply: Reply) -> str:
    assert [status for status, _ in reply.errors] == [507]
    error = error_of(reply)
    assert (error["code"], "pictures" in error["message"]) == ("storageQuotaExceeded", False)
    return str(error["message"])


async def test_a_file_that_would_leave_too_little_free_is_refused_before_it_is_fetched(
    open_library: Open, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace = open_library(disk_reserve_bytes=1000, model_upload_timeout_s=5)
    disk = Disk(monkeypatch, free_bytes=1000 + len(weights) - 1)
    go_on = asyncio.Event()

    async def only_its_length(writer: Writer) -> None:
        writer.write(answer(b"", length=len(weights)))
        await writer.drain()
        await go_on.wait()

    async with origin(only_its_length) as there:
        said = refused_for_lack_of_room(await workplace.perform(upload(there.url)))
        go_on.set()
    assert f"{len(weights)} bytes" in said
    assert stored(workplace) == []

    disk.free_bytes += 1
    async with origin(answer(weights)) as there:
        assert not (await workplace.perform(upload(there.url))).errors
    assert set(disk.asked) == {workplace.settings.data_dir / "models"}


async def test_a_disk_that_fills_up_meanwhile_ends_the_download(
    open_library: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace = open_library(disk_reserve_bytes=2**20, max_model_bytes=2**26)
    disk = Disk(monkeypatch, free_bytes=2**40)

    async def endless(writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"100000\r\n" + bytes(2**20) + b"\r\n")
            await writer.drain()
            if len(disk.asked) > 2:
                disk.free_bytes = 12 * 2**20

    async with origin(endless) as there:
        refused_for_lack_of_room(await workplace.perform(upload(there.url)))
    assert stored(workplace) == []


def fail_to_write(monkeypatch: pytest.MonkeyPatch, *, step: str, number: int) -> None:
    """Have a step of writing the partial file fail with an error number."""
    opened, fsync = Path.open, os.fsync

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    def open_and_fail(path: Path, *how: Any, **also: Any) -> Any:
        file = opened(path, *how, **also)
        if path.suffix != PARTIAL_SUFFIX:
            return file
        failing = MagicMock(wraps=file)
        failing.__enter__.return_value = failing
        failing.__exit__.side_effect = lambda *_: file.close()
        setattr(failing, step, fail)
        return failing

    def fsync_and_fail(descriptor: int) -> None:
        # The list of models is flushed as well.
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(PARTIAL_SUFFIX):
            fail()
        fsync(descriptor)

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", fsync_and_fail)
    else:
        monkeypatch.setattr(Path, "open", open_and_fail)


@pytest.mark.parametrize("step", ["write", "flush", "fsync"])
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "storageQuotaExceeded"),
        (errno.EDQUOT, "storageQuotaExceeded"),
        (errno.EIO, "downloadFailed"),
    ],
)
async def test_what_the_disk_does_not_take_is_said_to_be_the_disks_failure(
    open_library: Open, weights: bytes, monkeypatch: pytest.MonkeyPatch, step: str, number: int, code: str
) -> None:
    workplace = open_library()
    fail_to_write(monkeypatch, step=step, number=number)
    async with origin(answer(weights)) as there:
        error = error_of(await workplace.perform(upload(there.url)))
    assert error["code"] == code
    assert ("disk is full" if code == "storageQuotaExceeded" else os.strerror(number)) in error["message"]
    assert stored(workplace) == []


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
async def test_a_file_system_that_cannot_flush_takes_models_too(
    open_library: Open, weights: bytes, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    workplace = open_library()
    fail_to_write(monkeypatch, step="fsync", number=number)
    async with origin(answer(weights)) as there:
        assert not (await workplace.perform(upload(there.url))).errors


async def test_a_model_is_taken_once(open_library: Open, weights: bytes) -> None:
    workplace = open_library()
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(writer: Writer) -> None:
        asked.set()
        await go_on.wait()
        writer.write(answer(weights))
        await writer.drain()

    async with origin(slowly) as there:
        first = asyncio.create_task(workplace.perform(upload(there.url)))
        await asked.wait()
        beside = error_of(await workplace.perform(upload(there.url)))
        go_on.set()
        assert not (await first).errors
        after = error_of(await workplace.perform(upload(there.url)))

    assert (beside["code"], after["code"]) == ("modelAlreadyExists", "modelAlreadyExists")
    assert len(stored(workplace)) == 1


async def test_the_embedded_model_cannot_be_replaced(open_library: Open) -> None:
    error = error_of(await open_library().perform(upload("http://127.0.0.1:9/x", air="underpaint:1@2")))

    assert error["code"] == "modelAlreadyExists"


async def test_what_a_killed_server_left_behind_is_removed(open_library: Open) -> None:
    workplace = open_library()
    folder = workplace.settings.data_dir / "models"
    folder.mkdir()
    (folder / "half.partial").write_bytes(b"half")
    await workplace.studio.resume()

    assert stored(workplace) == []


async def test_an_embedding_for_negative_prompts_is_named_by_its_words(
    open_library: Open, tmp_path: Path
) -> None:
    workplace = open_library()
    file = write_safetensors(tmp_path / "fog.safetensors", {"emb_params": (2, 768)})
    words = {"category": "embeddings", "type": "negative", "negativeTriggerWords": "grayfog"}
    async with origin(answer(file.read_bytes())) as there:
        reply = await workplace.perform(upload(there.url, **words))
    assert reply.data[-1]["status"] == "ready"

    task = {"embeddings": [{"model": "mine:7@1"}], "negativePrompt": "Grayfog, people"}
    item_of(await workplace.perform(transformation(**task)))
    [job] = workplace.engine.jobs
    assert [each.triggers for each in job.embeddings] == [("grayfog",)]
