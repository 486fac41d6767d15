"""Image files by UUID.

What exists, whose it is and for how long is recorded in the database; here are only bytes. A file appears
whole or not at all: object stores promise that for every put, and in a local folder it is written under a temporary
name, flushed and renamed. On a local folder `put` returns when the bytes are on the disk, not merely in its cache;
whoever puts many at once may leave that to `flush_blocking`.
"""

import contextlib
import os
import time
import uuid
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import obstore
from obstore.store import LocalStore, ObjectStore

from underpaint.blocking import in_thread
from underpaint.files import flush_names, replace_file
from underpaint.images.encode import EXTENSIONS

KNOWN_EXTENSIONS = frozenset(EXTENSIONS.values())


class ImageNotFound(KeyError):
    """There is no image of that UUID and extension."""

    def __str__(self) -> str:
        return str(self.args[0])


class ImageStore:
    """Image files in a local folder, or in any store that obstore knows (S3, GCS, Azure, memory)."""

    def __init__(self, store: ObjectStore | Path) -> None:
        """`store` is an obstore store, or a folder, which is created where it does not exist."""
        self._folder: Path | None = None
        if isinstance(store, Path):
            store.mkdir(parents=True, exist_ok=True)
            self._folder = store.resolve()
            store = LocalStore(self._folder)
        self._store: ObjectStore = store

    async def put(self, data: bytes, *, image_uuid: str, extension: str) -> None:
        """Store a file, replacing one of the same name. Raises `ValueError` for a bad UUID or extension."""
        await in_thread(self.put_blocking, data, image_uuid=image_uuid, extension=extension)

    def put_blocking(self, data: bytes, *, image_uuid: str, extension: str, flush: bool = True) -> None:
        """What `put` does, for threads. Without `flush` a file in a local folder survives the end of this process, but
        perhaps not a power cut.
        """
        key = object_key(image_uuid, extension)
        if self._folder is not None:
            replace_file(self._folder / key, data, flush=flush)
        else:
            obstore.put(self._store, key, data)

    @property
    def waits_for_disk(self) -> bool:
        """Whether it is a folder."""
        return self._folder is not None

    def flush_blocking(self, files: Iterable[tuple[str, str]]) -> None:
        """Return when files are on the disk that were put without `flush`; those that are not there do not matter.

        Args:
            files: UUID and extension of each.
        """
        if self._folder is None:
            return
        folders = set()
        for image_uuid, extension in files:
            path = self._folder / object_key(image_uuid, extension)
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                os.fsync(file.fileno())
                folders.add(path.parent)
        for folder in folders:
            flush_names(folder)

    async def get(self, image_uuid: str, extension: str) -> bytes:
        """The whole file. Raises `ImageNotFound`, and `ValueError` for a bad UUID or extension."""
        key = object_key(image_uuid, extension)
        try:
            result = await obstore.get_async(self._store, key)
            return bytes(await result.bytes_async())
        except FileNotFoundError as error:
            raise ImageNotFound(f"there is no image {key.rpartition('/')[2]}") from error

    def get_blocking(self, image_uuid: str, extension: str) -> bytes:
        """What `get` does, for threads."""
        key = object_key(image_uuid, extension)
        try:
            if self._folder is not None:
                return (self._folder / key).read_bytes()
            return bytes(obstore.get(self._store, key).bytes())
        except FileNotFoundError as error:
            raise ImageNotFound(f"there is no image {key.rpartition('/')[2]}") from error

    async def delete(self, image_uuid: str, extension: str) -> None:
        """Remove a file; removing one that is not there is no error. Raises `ValueError` as `put` does."""
        key = object_key(image_uuid, extension)
        with contextlib.suppress(FileNotFoundError):
            await obstore.delete_async(self._store, key)

    def delete_blocking(self, image_uuid: str, extension: str) -> None:
        """What `delete` does, for threads."""
        key = object_key(image_uuid, extension)
        if self._folder is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._folder}/{key}")
            return
        with contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, key)

    async def old_files(self, age_s: float) -> AsyncIterator[list[str]]:
        """Names of the files of a local folder that were written more than `age_s` seconds ago, also of those that are
        only half there; a few hundred at a time. Other stores have no files that are half there, and list none.
        """
        if self._folder is None:
            return
        for folder in await in_thread(lambda root: sorted(root.iterdir()), self._folder):
            names = await in_thread(_old_names, folder, time.time() - age_s)
            for start in range(0, len(names), 500):
                yield names[start : start + 500]

    async def remove_file(self, name: str) -> None:
        """Remove a file that `old_files` named."""
        if self._folder is not None:
            await in_thread((self._folder / name[:2] / name).unlink, missing_ok=True)


def _old_names(folder: Path, before_s: float) -> list[str]:
    if not folder.is_dir():
        return []
    names = []
    for entry in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):
            if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < before_s:
                names.append(entry.name)
    return names


def object_key(image_uuid: str, extension: str) -> str:
    """`9f/9f1c...e2.png`: the name within the store, spread over 256 folders.

    Only a UUID in the usual form and a known extension get here; nothing else a client sends reaches a path.
    Raises `ValueError`.
    """
    canonical = str(uuid.UUID(image_uuid))
    if canonical != image_uuid.lower():
        raise ValueError("an image is named by a UUID in its usual form, with hyphens")
    if extension not in KNOWN_EXTENSIONS:
        raise ValueError(f"unknown image file extension {extension!r}")
    return f"{canonical[:2]}/{canonical}.{extension}"
