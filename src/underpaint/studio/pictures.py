"""Stored pictures: what there is, whose it is and for how long.

Uploads and results are one name space of UUIDs, so the result of one task is the seed image of the next.
"""

import contextlib
import threading
import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Engine

from underpaint.blocking import in_thread
from underpaint.images import (
    EXTENSIONS,
    MEDIA_TYPES,
    DecodeLimits,
    Fetcher,
    ImageNotFound,
    ImageStore,
)
from underpaint.prepared import Statement
from underpaint.studio.incoming import IncomingPictures
from underpaint.studio.links import Links
from underpaint.studio.picture_files import PictureFiles
from underpaint.studio.picture_records import Kind, PictureRecord, PictureRecords, new_record

RENEW_S = 60.0
"""An upload that is used again within this time is not noted again."""

ORPHAN_AGE_S = 3600.0
"""A younger file without a record is one that is just being stored."""

MEDIA_TYPE_OF_EXTENSION = {EXTENSIONS[format]: MEDIA_TYPES[format] for format in EXTENSIONS}


@dataclass(frozen=True, kw_only=True)
class OpenedImage:
    """The file of a stored picture."""

    data: bytes
    media_type: str
    created_s: float
    left_s: float | None = None
    """For so long the link leads to it; None for as long as there is the picture."""


@dataclass(frozen=True, kw_only=True)
class PutImage:
    """A picture that is stored, but does not exist until its records are written as well."""

    image_uuid: str
    extension: str
    size_bytes: int
    record: Statement
    file: tuple[Statement, ...]

    @property
    def records(self) -> tuple[Statement, ...]:
        """All that is to be written."""
        return (self.record, *self.file)


class Pictures:
    """Pictures by UUID, and the way in for those that a task brings along."""

    def __init__(
        self,
        *,
        store: ImageStore,
        database: Engine,
        fetcher: Fetcher,
        limits: DecodeLimits,
        upload_ttl_s: float,
        share: bool = False,
        links: Links | None = None,
    ) -> None:
        self._store = store
        self._records = PictureRecords(database)
        self.files = PictureFiles(store, database)
        """Their files."""
        self.fetcher = fetcher
        """The way out, for pictures by URL and for whatever else is asked for or sent."""
        self.links = links or Links()
        """Where pictures can be fetched."""
        self._upload_ttl_s = upload_ttl_s
        self._share = share
        self._used_bytes: int | None = None
        self._counting = threading.Lock()
        self.incoming = IncomingPictures(fetcher=fetcher, limits=limits, stored=self._file_for)
        """The way in, for those that tasks bring or refer to."""

    async def used_bytes(self) -> int:
        """Bytes of all files. Counted once, then kept up with: nobody else writes here."""
        if self._used_bytes is None:
            counted = await in_thread(self._records.total_bytes)
            if self._used_bytes is None:
                self._used_bytes = counted
        return self._used_bytes

    async def keep(
        self,
        data: bytes,
        *,
        extension: str,
        kind: Kind,
        size: tuple[int, int],
        owner: str,
        ttl_s: float,
    ) -> str:
        """Store an encoded picture, durably.

        Args:
            data: the file.
            extension: one that the image store knows.
            kind: what it is.
            size: width and height in pixels.
            owner: whose it is.
            ttl_s: seconds until it may be removed.

        Returns:
            Its UUID.
        """

        def put_and_record() -> str:
            kept = self.put(data, extension=extension, kind=kind, size=size, owner=owner, ttl_s=ttl_s)
            self._records.write(kept.records)
            return kept.image_uuid

        return await in_thread(put_and_record)

    def put(
        self,
        data: bytes,
        *,
        extension: str,
        kind: Kind,
        size: tuple[int, int],
        owner: str,
        ttl_s: float,
        flush: bool = True,
    ) -> PutImage:
        """Store a picture whose records go into a transaction of the caller's. Blocks.

        With `flush` it is as durable as that transaction. Without, it survives the end of this process, but perhaps
        not a power cut. Else like `keep`.
        """
        image_uuid = str(uuid.uuid4())
        file = self.files.put(data, image_uuid=image_uuid, extension=extension, flush=flush)
        now_s = time.time()
        record = PictureRecord(
            image_uuid=image_uuid,
            extension=extension,
            kind=kind,
            created_s=now_s,
            expires_s=now_s + ttl_s,
            owner=owner,
            size_bytes=len(data),
        )
        self._count(len(data))
        return PutImage(
            image_uuid=image_uuid,
            extension=extension,
            size_bytes=len(data),
            record=new_record(record, size=size),
            file=file,
        )

    def take_back(self, kept: PutImage) -> None:
        """Remove a picture whose records were not written. Blocks."""
        self.files.take_back(kept.image_uuid, kept.extension, kept.file)
        self._count(-kept.size_bytes)

    async def open(
        self, image_uuid: str, extension: str, *, expires: str = "", signed: str = ""
    ) -> OpenedImage | None:
        """The file of a picture that anyone who has a link to it may see; None where there is none (any more).

        Args:
            image_uuid: of the picture.
            extension: of its file.
            expires: what the link says of its end.
            signed: the link's signature.

        Raises:
            TaskError: the link needs a signature and has none that is valid.
        """
        left_s = self.links.check(image_uuid, extension, expires=expires, signed=signed)
        stored = await in_thread(self._records.find, image_uuid)
        if stored is None or stored.extension != extension or stored.kind == "seed":
            return None
        try:
            data = await self.data_of(stored.image_uuid, extension)
        except ImageNotFound:
            return None
        return OpenedImage(
            data=data,
            media_type=MEDIA_TYPE_OF_EXTENSION[extension],
            created_s=stored.created_s,
            left_s=left_s,
        )

    async def data_of(self, image_uuid: str, extension: str) -> bytes:
        """The file of a picture that a record refers to.

        Raises:
            ImageNotFound: it has expired or was deleted.
        """
        return await in_thread(self.files.get, image_uuid, extension)

    async def delete(self, image_uuid: str, *, owner: str) -> bool:
        """Remove an upload or a result of that owner; False where there is none."""
        stored = await in_thread(self._records.find, image_uuid)
        if stored is None or stored.kind == "seed" or stored.owner != owner:
            return False
        await self._remove(stored)
        return True

    def discard_seeds(self, image_uuids: Collection[str]) -> None:
        """Remove the seed images of a task that is over. After a power cut they may be there again, until they expire.
        Blocks.
        """
        if not image_uuids:
            return
        for image_uuid, extension, size_bytes in self._records.forget_seeds(
            image_uuids, along=self.files.forget
        ):
            self.files.delete(image_uuid, extension)
            self._count(-size_bytes)

    async def remove_expired(self) -> None:
        """Remove every picture whose time is over."""
        for stored in await in_thread(self._records.expired):
            await self._remove(stored)

    async def remove_orphans(self) -> None:
        """Remove files without a record, which a crash left behind."""
        async for names in self._store.old_files(ORPHAN_AGE_S):
            known = await in_thread(self._records.known, {name[:36] for name in names})
            for name in names:
                if name[:36] not in known:
                    await self._store.remove_file(name)

    async def _remove(self, stored: PictureRecord) -> None:
        # The record first: a file without a record is only wasted space, a record without a file is an error.
        await in_thread(self._records.forget, stored.image_uuid)
        self._count(-stored.size_bytes)
        await in_thread(self.files.delete, stored.image_uuid, stored.extension)

    def _count(self, more_bytes: int) -> None:
        # Pictures are stored from several threads.
        with self._counting:
            if self._used_bytes is not None:
                self._used_bytes += more_bytes

    def _file_for(self, image_uuid: str, owner: str) -> bytes | None:
        """The file of a stored picture, for a task of that owner; an upload is kept for its full time from this use on,
        to within `RENEW_S`.
        """
        stored = self._records.find(image_uuid)
        if stored is None or (stored.owner != owner and not self._share):
            return None
        if stored.kind == "upload":
            expires_s = time.time() + self._upload_ttl_s
            if stored.expires_s < expires_s - min(RENEW_S, self._upload_ttl_s / 10):
                self._records.keep_until(image_uuid, expires_s)
        with contextlib.suppress(ImageNotFound):
            return self.files.get(stored.image_uuid, stored.extension)
        return None
