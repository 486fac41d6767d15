"""modelUpload: what arrives whole and is what it is said to be is in the library, and nothing else is."""

import asyncio
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.catalog.weights import sd_single_file, write_safetensors
from tests.images.test_fetch import Writer, origin
from tests.studio.conftest import Workplace, error_of, item_of, transformation

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
        model_upload_hosts="127.0.0.1", fetch_allow_private=True, **settings
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


async def test_without_an_allowed_host_no_model_is_taken(workplace: Workplace) -> None:
    error = error_of(await workplace.perform(upload("https://models.example.com/seven.safetensors")))

    assert error["code"] == "insufficientPermissions"
    assert "model_upload_hosts" in error["message"]


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
