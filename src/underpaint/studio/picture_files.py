"""The files of pictures: in the database with their records first, in the image store soon after.

A file of its own costs a task two more waits for the disk, beside that for its transaction, and the file system's work
(docs/decisions/024). So a small file is written together with the records that refer to it, and becomes a file behind
the tasks' backs. Large ones are files at once, and in object stores all are: those have what they have taken.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Collection

from sqlalchemy import Connection, Engine, bindparam, delete, insert, select

from underpaint.blocking import in_thread
from underpaint.database import images, rows, unwritten_files
from underpaint.images import ImageNotFound, ImageStore
from underpaint.prepared import PreparedStatement, Statement
from underpaint.transactions import begin

LARGEST_UNWRITTEN = 512 * 2**10
"""Bytes up to which a file goes into the database. Writing a larger one twice takes as long as waiting for the disk."""
UNWRITTEN_AT_MOST = 64 * 2**20
"""Bytes of all such files together; then others are files at once until they are written."""
WRITE_BEHIND_S = 5.0
RETRY_S = 60.0
_AT_ONCE = 100

_INSERT = PreparedStatement(insert(unwritten_files))
_FORGET = PreparedStatement(
    delete(unwritten_files)
    .where(unwritten_files.c.image_uuid == bindparam("its_uuid"))
    .returning(unwritten_files.c.size_bytes)
)
_DATA = PreparedStatement(
    select(unwritten_files.c.data)
    .select_from(unwritten_files.join(images, unwritten_files.c.image_uuid == images.c.image_uuid))
    .where(unwritten_files.c.image_uuid == bindparam("its_uuid"))
)

log = logging.getLogger(__name__)


class PictureFiles:
    """Files by the UUID and extension of their pictures.

    Args:
        store: where they end up.
        database: where the small ones are meanwhile.
    """

    def __init__(self, store: ImageStore, database: Engine) -> None:
        self._store = store
        self._database = database
        self._unwritten_bytes = 0
        self._counting = threading.Lock()
        self._writing = threading.Lock()

    def put(self, data: bytes, *, image_uuid: str, extension: str, flush: bool) -> tuple[Statement, ...]:
        """Store a file. It is there as soon as what this gives is written, in a transaction of the caller's. Blocks.

        With `flush` it is then as durable as that transaction. Without, a power cut may take a large one back.
        """
        if self._store.waits_for_disk and self._has_room(len(data)):
            return ((_INSERT, _row(data, image_uuid=image_uuid, extension=extension)),)
        self._store.put_blocking(data, image_uuid=image_uuid, extension=extension, flush=flush)
        return ()

    def take_back(self, image_uuid: str, extension: str, written: Collection[Statement]) -> None:
        """Undo `put`, of which `written` came and was not written after all. Blocks."""
        for _, row in written:
            self._count(-row["size_bytes"])
        if not written:
            self._store.delete_blocking(image_uuid, extension)

    def get(self, image_uuid: str, extension: str) -> bytes:
        """The whole file. Raises `ImageNotFound`. Blocks."""
        with contextlib.suppress(ImageNotFound):
            return self._store.get_blocking(image_uuid, extension)
        data = self._unwritten(image_uuid)
        # Written in between, or not there at all.
        return self._store.get_blocking(image_uuid, extension) if data is None else data

    def delete(self, image_uuid: str, extension: str) -> None:
        """Remove a file whose record is gone; one that is still in the database is as good as gone with it. Blocks."""
        self._store.delete_blocking(image_uuid, extension)

    def forget(self, connection: Connection, image_uuids: Collection[str]) -> None:
        """Remove those of the files that are in the database."""
        for image_uuid in image_uuids:
            for (size_bytes,) in _FORGET.run(connection, {"its_uuid": image_uuid}).fetchall():
                self._count(-size_bytes)

    def write_behind(self) -> None:
        """Write what is in the database to the store, so that it need not be there any more. Blocks.

        What a crash left there is written, too: whatever the store has of it may be damaged.
        """
        with self._writing:
            columns = (unwritten_files.c.image_uuid, unwritten_files.c.extension)
            names = [(row.image_uuid, row.extension) for row in rows(self._database, select(*columns))]
            for start in range(0, len(names), _AT_ONCE):
                some = names[start : start + _AT_ONCE]
                for image_uuid, extension in some:
                    data = self._unwritten(image_uuid)
                    if data is not None:
                        self._store.put_blocking(
                            data, image_uuid=image_uuid, extension=extension, flush=False
                        )
                self._store.flush_blocking(some)
                with begin(self._database, flush=False) as connection:
                    self.forget(connection, [image_uuid for image_uuid, _ in some])

    async def try_to_write(self) -> bool:
        """Write behind, in a thread; whether that could be done. If not, the log says why, and nothing is lost."""
        try:
            await in_thread(self.write_behind)
        except Exception:
            log.exception("pictures could not be written as files; that is tried again later")
            return False
        return True

    async def keep_writing(self) -> None:
        """Write behind, again and again, until cancelled."""
        while True:
            written = await self.try_to_write()
            await asyncio.sleep(WRITE_BEHIND_S if written else RETRY_S)

    def _unwritten(self, image_uuid: str) -> bytes | None:
        """A file that is in the database."""
        with self._database.connect() as connection:
            found = _DATA.run(connection, {"its_uuid": image_uuid}).fetchone()
        return None if found is None else bytes(found[0])

    def _has_room(self, size_bytes: int) -> bool:
        """Whether a file may go into the database; if so, it is counted."""
        with self._counting:
            if size_bytes > LARGEST_UNWRITTEN or self._unwritten_bytes + size_bytes > UNWRITTEN_AT_MOST:
                return False
            self._unwritten_bytes += size_bytes
            return True

    def _count(self, more_bytes: int) -> None:
        # What an earlier run of the server left was never counted.
        with self._counting:
            self._unwritten_bytes = max(0, self._unwritten_bytes + more_bytes)


def _row(data: bytes, *, image_uuid: str, extension: str) -> dict[str, object]:
    return {"image_uuid": image_uuid, "extension": extension, "size_bytes": len(data), "data": data}
