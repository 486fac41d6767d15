"""What the database knows of stored pictures: whose each is, what it is, and for how long. All calls block."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Engine, bindparam, delete, func, insert, select, update

from underpaint.database import images, rows
from underpaint.images import IMAGE_UUID
from underpaint.prepared import PreparedStatement, Statement
from underpaint.transactions import begin, execute

_INSERT = PreparedStatement(insert(images))
_DELETE_SEED = PreparedStatement(
    delete(images)
    .where(images.c.image_uuid == bindparam("its_uuid"), images.c.kind == "seed")
    .returning(images.c.image_uuid, images.c.extension, images.c.size_bytes)
)
_RECORD = (
    images.c.image_uuid,
    images.c.extension,
    images.c.kind,
    images.c.created_s,
    images.c.expires_s,
    images.c.key_id,
    images.c.size_bytes,
)
"""Columns of a `PictureRecord`, in the order of `_record`."""
_FIND = PreparedStatement(
    select(*_RECORD).where(
        images.c.image_uuid == bindparam("its_uuid"), images.c.expires_s >= bindparam("now")
    )
)
_RENEW = (
    update(images).where(images.c.image_uuid == bindparam("its_uuid")).values(expires_s=bindparam("expires"))
)

Kind = Literal["upload", "result", "seed"]
"""`seed` is the seed image of a task, kept so that the task can be run again after a crash."""


@dataclass(frozen=True, kw_only=True)
class PictureRecord:
    """One picture. Times are Unix times."""

    image_uuid: str
    extension: str
    kind: Kind
    created_s: float
    expires_s: float
    owner: str
    """The key that it belongs to, "" without keys."""
    size_bytes: int


def new_record(record: PictureRecord, *, size: tuple[int, int]) -> Statement:
    """What writes a record down, in a transaction of the caller's; `size` is width and height in pixels."""
    return _INSERT, {
        "image_uuid": record.image_uuid,
        "extension": record.extension,
        "kind": record.kind,
        "width_px": size[0],
        "height_px": size[1],
        "size_bytes": record.size_bytes,
        "created_s": record.created_s,
        "expires_s": record.expires_s,
        "key_id": record.owner,
    }


class PictureRecords:
    """The records of a database."""

    def __init__(self, database: Engine) -> None:
        self._database = database

    def write(self, records: Sequence[Statement]) -> None:
        """Write down what belongs to one picture, durably."""
        with begin(self._database) as connection:
            for statement, values in records:
                statement.run(connection, values)

    def find(self, image_uuid: str) -> PictureRecord | None:
        """A picture that has not expired."""
        # Whatever else a client sends, such as half a character, may not even be text for the database.
        if not IMAGE_UUID.fullmatch(image_uuid):
            return None
        with self._database.connect() as connection:
            row = _FIND.run(connection, {"its_uuid": image_uuid, "now": time.time()}).fetchone()
        return None if row is None else _record(row)

    def expired(self) -> list[PictureRecord]:
        """Those whose time is over."""
        return self._select(images.c.expires_s < time.time())

    def keep_until(self, image_uuid: str, expires_s: float) -> None:
        """Let a picture expire at another time, which a power cut may take back."""
        with begin(self._database, flush=False) as connection:
            connection.execute(_RENEW, {"its_uuid": image_uuid, "expires": expires_s})

    def forget(self, image_uuid: str) -> None:
        """Remove a record, durably."""
        execute(self._database, delete(images).where(images.c.image_uuid == image_uuid))

    def forget_seeds(
        self, image_uuids: Collection[str], *, along: Callable[[Connection, Collection[str]], None]
    ) -> list[tuple[str, str, int]]:
        """Remove the records of tasks' seed images, which after a power cut may be there again.

        Args:
            image_uuids: of the images.
            along: what is done for them in the same transaction.

        Returns:
            UUID, extension and size in bytes of their files.
        """
        with begin(self._database, flush=False) as connection:
            gone = [
                (image_uuid, extension, size_bytes)
                for each in image_uuids
                for image_uuid, extension, size_bytes in _DELETE_SEED.run(
                    connection, {"its_uuid": each}
                ).fetchall()
            ]
            along(connection, image_uuids)
        return gone

    def total_bytes(self) -> int:
        """Of all files together."""
        [(total,)] = rows(self._database, select(func.coalesce(func.sum(images.c.size_bytes), 0)))
        return int(total)

    def known(self, image_uuids: Collection[str]) -> set[str]:
        """Those of the UUIDs that have a record."""
        query = select(images.c.image_uuid).where(images.c.image_uuid.in_(image_uuids))
        return {row.image_uuid for row in rows(self._database, query)}

    def _select(self, condition: ColumnElement[bool]) -> list[PictureRecord]:
        return [_record(row) for row in rows(self._database, select(*_RECORD).where(condition))]


def _record(row: Sequence[Any]) -> PictureRecord:
    image_uuid, extension, kind, created_s, expires_s, key_id, size_bytes = row
    return PictureRecord(
        image_uuid=image_uuid,
        extension=extension,
        kind=kind,
        created_s=created_s,
        expires_s=expires_s,
        owner=key_id or "",
        size_bytes=size_bytes,
    )
