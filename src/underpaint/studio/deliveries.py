"""What is to be sent to the places that tasks name, written down until it has arrived."""

import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from underpaint.database import deliveries, rows
from underpaint.transactions import execute

Kind = Literal["webhook", "upload"]


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One message to one URL."""

    delivery_id: str
    """The same at every attempt, so that the receiver can tell a repeat."""
    owner: str
    task_uuid: str
    kind: Kind
    url: str
    payload: Mapping[str, Any] | None
    """Of a webhook: the item of the reply, without its picture."""
    embed: tuple[str, ...] = ()
    """Output types that are to stand in the payload, with the picture in them."""
    image_uuid: str | None = None
    extension: str | None = None
    created_s: float
    attempts: int = 0

    @property
    def host(self) -> str:
        """Host and port that it goes to."""
        return urlsplit(self.url).netloc.rpartition("@")[2].lower()


def new_delivery(owner: str, task_uuid: str, kind: Kind, url: str, **what: Any) -> Delivery:
    """A delivery that was not written down yet."""
    return Delivery(
        delivery_id=str(uuid.uuid4()),
        owner=owner,
        task_uuid=task_uuid,
        kind=kind,
        url=url,
        payload=what.pop("payload", None),
        created_s=time.time(),
        **what,
    )


def write_down(connection: Connection, due: Sequence[Delivery]) -> None:
    """Record deliveries, due at once, in the transaction that records why."""
    for each in due:
        connection.execute(
            insert(deliveries).values(
                delivery_id=each.delivery_id,
                owner=each.owner,
                task_uuid=each.task_uuid,
                kind=each.kind,
                url=each.url,
                host=each.host,
                payload=each.payload,
                embed=",".join(each.embed),
                image_uuid=each.image_uuid,
                extension=each.extension,
                created_s=each.created_s,
                due_s=each.created_s,
                attempts=0,
            )
        )


class Outbox:
    """The deliveries that have not arrived. All calls block for as long as the disk takes."""

    def __init__(self, database: Engine) -> None:
        self._database = database

    def due(
        self, now_s: float, *, limit: int, except_hosts: Collection[str], except_ids: Collection[str]
    ) -> list[Delivery]:
        """Deliveries whose time has come, those first that have waited longest."""
        query = (
            select(deliveries)
            .where(
                deliveries.c.due_s <= now_s,
                deliveries.c.host.not_in(list(except_hosts)),
                deliveries.c.delivery_id.not_in(list(except_ids)),
            )
            .order_by(deliveries.c.due_s)
            .limit(limit)
        )
        return [
            Delivery(
                delivery_id=row.delivery_id,
                owner=row.owner,
                task_uuid=row.task_uuid,
                kind=row.kind,
                url=row.url,
                payload=row.payload,
                embed=tuple(part for part in row.embed.split(",") if part),
                image_uuid=row.image_uuid,
                extension=row.extension,
                created_s=row.created_s,
                attempts=row.attempts,
            )
            for row in rows(self._database, query)
        ]

    def next_due_s(self, now_s: float) -> float | None:
        """When the next one is due after `now_s`."""
        query = select(func.min(deliveries.c.due_s)).where(deliveries.c.due_s > now_s)
        [(next_s,)] = rows(self._database, query)
        return None if next_s is None else float(next_s)

    def remove(self, delivery_id: str) -> None:
        """It has arrived, or never will."""
        execute(self._database, delete(deliveries).where(deliveries.c.delivery_id == delivery_id))

    def postpone(self, delivery_id: str, *, due_s: float) -> None:
        """Count an attempt that failed, and say when the next one is due."""
        failed = update(deliveries).where(deliveries.c.delivery_id == delivery_id)
        execute(self._database, failed.values(due_s=due_s, attempts=deliveries.c.attempts + 1))
