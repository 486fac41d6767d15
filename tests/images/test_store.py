"""Image files are kept by UUID, whole or not at all."""

import errno
import os
import stat
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from underpaint.images import ImageNotFound, ImageStore
from underpaint.images.store import object_key

UUID = "5160a4c7-6e35-4a11-9c3b-7a2a1d2f9c11"


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "new" / "images" if request.param == "folder" else MemoryStore())


async def test_what_was_put_is_got(store: ImageStore) -> None:
    data = bytes(range(256)) * 1000
    await store.put(data, image_uuid=UUID, extension="png")
    assert await store.get(UUID, "png") == data
    assert await store.get(UUID.upper(), "png") == data


async def test_putting_again_replaces(store: ImageStore) -> None:
    await store.put(b"a long first version", image_uuid=UUID, extension="png")
    await store.put(b"second", image_uuid=UUID, extension="png")
    assert await store.get(UUID, "png") == b"second"


async def test_what_is_not_there_is_not_found(store: ImageStore) -> None:
    await store.put(b"data", image_uuid=UUID, extension="png")
    with pytest.raises(ImageNotFound, match=f"there is no image {UUID}.jpg"):
        await store.get(UUID, "jpg")


async def test_deleting_is_final_and_may_be_repeated(store: ImageStore) -> None:
    await store.put(b"data", image_uuid=UUID, extension="webp")
    await store.delete(UUID, "webp")
    await store.delete(UUID, "webp")
    with pytest.raises(ImageNotFound):
        await store.get(UUID, "webp")


def files_in(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


async def test_files_fan_out_and_leave_nothing_beside_them(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    await store.put(b"data", image_uuid=UUID, extension="jpg")
    assert files_in(tmp_path) == [f"51/{UUID}.jpg"]


async def test_a_failed_put_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ImageStore(tmp_path)
    await store.put(b"first", image_uuid=UUID, extension="jpg")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        await store.put(b"second", image_uuid=UUID, extension="jpg")
    assert await store.get(UUID, "jpg") == b"first"
    assert files_in(tmp_path) == [f"51/{UUID}.jpg"]


async def test_bytes_are_on_the_disk_before_they_have_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, path, calls = ImageStore(tmp_path), tmp_path / "51" / f"{UUID}.jpg", []
    flush, rename = os.fsync, os.replace

    def noting_fsync(descriptor: int) -> None:
        flush(descriptor)
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        calls.append((kind, os.fstat(descriptor).st_size if kind == "file" else path.exists()))

    def noting_replace(source: Path, target: Path) -> None:
        calls.append(("rename", target == path))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "replace", noting_replace)
    await store.put(b"data", image_uuid=UUID, extension="jpg")
    assert calls == [("file", 4), ("rename", True), ("folder", True)]


@pytest.mark.parametrize(
    "image_uuid",
    [
        "",
        "../../etc/passwd",
        "a/b",
        UUID + "/..",
        UUID.replace("-", ""),
        "{" + UUID + "}",
        f"urn:uuid:{UUID}",
        UUID + "\0",
    ],
)
async def test_nothing_but_a_uuid_reaches_a_path(store: ImageStore, image_uuid: str) -> None:
    for use in (store.get(image_uuid, "png"), store.delete(image_uuid, "png")):
        with pytest.raises(ValueError, match="UUID"):
            await use
    with pytest.raises(ValueError, match="UUID"):
        await store.put(b"data", image_uuid=image_uuid, extension="png")


@pytest.mark.parametrize("extension", ["", "exe", "png/../x", "PNG", "../png", "html"])
def test_nothing_but_a_known_extension_does(extension: str) -> None:
    with pytest.raises(ValueError, match="extension"):
        object_key(UUID, extension)
