"""What the database knows of stored pictures: whose each is, what it is, and for how long. All calls block."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, Engine, Insert, delete, func, insert, select, update

from underpaint.database import begin_unflushed, execute, images, rows
from underpaint.images import IMAGE_UUID

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


def new_record(record: PictureRecord, *, size: tuple[int, int]) -> Insert:
    """What writes a record down, in a transaction of the caller's; `size` is width and height in pixels."""
    return insert(images).values(
        image_uuid=record.image_uuid,
        extension=record.extension,
        kind=record.kind,
        width_px=size[0],
        height_px=size[1],
        size_bytes=record.size_bytes,
        created_s=record.created_s,
        expires_s=record.expires_s,
        key_id=record.owner,
    )


class PictureRecords:
    """The records of a database."""

    def __init__(self, database: Engine) -> None:
        self._database = database

    def write(self, record: Insert) -> None:
        """Write one down, durably."""
        execute(self._database, record)

    def find(self, image_uuid: str) -> PictureRecord | None:
        """A picture that has not expired."""
        # Whatever else a client sends, such as half a character, may not even be text for the database.
        if not IMAGE_UUID.fullmatch(image_uuid):
            return None
        found = self._select((images.c.image_uuid == image_uuid) & (images.c.expires_s >= time.time()))
        return found[0] if found else None

    def expired(self) -> list[PictureRecord]:
        """Those whose time is over."""
        return self._select(images.c.expires_s < time.time())

    def keep_until(self, image_uuid: str, expires_s: float) -> None:
        """Let a picture expire at another time."""
        renewed = update(images).where(images.c.image_uuid == image_uuid)
        execute(self._database, renewed.values(expires_s=expires_s))

    def forget(self, image_uuid: str) -> None:
        """Remove a record, durably."""
        execute(self._database, delete(images).where(images.c.image_uuid == image_uuid))

    def forget_seed(self, image_uuid: str) -> tuple[str, int] | None:
        """Remove the record of a task's seed image, which after a power cut may be there again.

        Returns:
            Extension and size in bytes of its file; None where there is no such record.
        """
        seed = (images.c.image_uuid == image_uuid) & (images.c.kind == "seed")
        with begin_unflushed(self._database) as connection:
            gone = connection.execute(
                delete(images).where(seed).returning(images.c.extension, images.c.size_bytes)
            ).first()
        return None if gone is None else (gone.extension, gone.size_bytes)

    def total_bytes(self) -> int:
        """Of all files together."""
        [(total,)] = rows(self._database, select(func.coalesce(func.sum(images.c.size_bytes), 0)))
        return int(total)

    def known(self, image_uuids: Collection[str]) -> set[str]:
        """Those of the UUIDs that have a record."""
        query = select(images.c.image_uuid).where(images.c.image_uuid.in_(image_uuids))
        return {row.image_uuid for row in rows(self._database, query)}

    def _select(self, condition: ColumnElement[bool]) -> list[PictureRecord]:
        return [
            PictureRecord(
                image_uuid=row.image_uuid,
                extension=row.extension,
                kind=row.kind,
                created_s=row.created_s,
                expires_s=row.expires_s,
                owner=row.key_id or "",
                size_bytes=row.size_bytes,
            )
            for row in rows(self._database, select(images).where(condition))
        ]
