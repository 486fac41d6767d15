"""Webhooks and upload endpoints: results on their way to the places that tasks name.

What is to be sent stands in the database from the moment at which its reason does, and is sent until it has arrived,
for a day: at least once, also across restarts. All of it goes through the one guarded fetcher.
"""

import asyncio
import base64
import contextlib
import json
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from underpaint.blocking import in_thread
from underpaint.images import Fetcher, FetchFailed, FetchRefused, ImageNotFound
from underpaint.studio.deliveries import Delivery, Outbox, new_delivery
from underpaint.studio.journal import ResultRecord, TaskRecord
from underpaint.studio.links import Links
from underpaint.studio.persistence import until_written
from underpaint.studio.pictures import MEDIA_TYPE_OF_EXTENSION, Pictures
from underpaint.studio.replies import result_item
from underpaint.studio.signing import SecretsUnreadable, read_secrets, webhook_headers
from underpaint.wire import PictureTask, TaskError

T = TypeVar("T")

log = logging.getLogger(__name__)

FIRST_DELAY_S = 5.0
LONGEST_DELAY_S = 3600.0
"""Delays between attempts double from the first to this, each up to a fifth shorter or longer."""
GIVE_UP_S = 86400.0
"""After this time it is not tried again."""
AT_ONCE = 16
AT_ONCE_PER_HOST = 4
"""Connections: a receiver that does not answer must not hold up the others."""
_LONGEST_SLEEP_S = 30.0
_GONE = 410


def check_destinations(task: PictureTask, fetcher: Fetcher) -> None:
    """Refuse a task that names a place to which nothing would ever be sent. Raises `TaskError`."""
    for parameter, url in (("webhookURL", task.webhook_url), ("uploadEndpoint", task.upload_endpoint)):
        if url is None:
            continue
        try:
            fetcher.check(url)
        except FetchRefused as refusal:
            raise TaskError(
                f"invalid{parameter[0].upper()}{parameter[1:]}",
                f"'{parameter}': {refusal}",
                parameter=parameter,
                type="string",
            ) from None


def result_deliveries(
    record: TaskRecord, task: PictureTask, result: ResultRecord, links: Links
) -> list[Delivery]:
    """What is to be sent because a picture is there."""
    picture = {"image_uuid": result.image_uuid, "extension": result.extension}
    due = []
    if task.upload_endpoint is not None:
        due.append(new_delivery(record.owner, record.task_uuid, "upload", task.upload_endpoint, **picture))
    if task.webhook_url is not None:
        item = result_item(result, record, task, links=links, encoded=None, status=None)
        due.append(
            new_delivery(
                record.owner,
                record.task_uuid,
                "webhook",
                task.webhook_url,
                payload={"data": [item]},
                embed=tuple(kind for kind in task.output_type if kind != "URL"),
                **picture,
            )
        )
    return due


def failure_deliveries(record: TaskRecord, error: Mapping[str, Any]) -> list[Delivery]:
    """What is to be sent because a task has failed."""
    url = record.request.get("webhookURL")
    if not url:
        return []
    payload = {"errors": [dict(error)]}
    return [new_delivery(record.owner, record.task_uuid, "webhook", url, payload=payload)]


class Webhooks:
    """Sends what is due.

    Args:
        outbox: what there is to send.
        fetcher: the way out.
        pictures: where the files are.
        secrets_path: the file of the secrets that sign.
        clock: Unix time.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        fetcher: Fetcher,
        pictures: Pictures,
        secrets_path: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._outbox = outbox
        self._fetcher = fetcher
        self._pictures = pictures
        self._secrets_path = secrets_path
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._sending: dict[str, str] = {}
        """Hosts by delivery."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="webhooks")

    def wake(self) -> None:
        """Say that there is something new. From any thread."""
        with contextlib.suppress(RuntimeError):  # The loop has ended, and with it the sending.
            self._loop.call_soon_threadsafe(self._woken.set)

    async def run(self) -> None:
        """Send, until cancelled."""
        try:
            while True:
                self._woken.clear()
                try:
                    pause_s = await self._start_due()
                except Exception:
                    log.exception("deliveries could not be read; trying again later")
                    pause_s = _LONGEST_SLEEP_S
                # Not wait_for: before Python 3.12 it loses a cancellation that comes together with the end of its wait.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._woken.wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            # What the database is doing cannot be cancelled, and must be over before the database is closed.
            await in_thread(self._thread.shutdown)

    async def _in_thread(self, call: Callable[..., T], *args: Any) -> T:
        return await self._loop.run_in_executor(self._thread, partial(call, *args))

    async def _start_due(self) -> float:
        """Begin with what is due, and say after how many seconds there is more."""
        now_s = self._clock()
        while (room := AT_ONCE - len(self._sending)) > 0:
            counts = Counter(self._sending.values())
            busy = [host for host, count in counts.items() if count >= AT_ONCE_PER_HOST]
            due = await self._in_thread(
                partial(
                    self._outbox.due, now_s, limit=room, except_hosts=busy, except_ids=tuple(self._sending)
                )
            )
            if not due:
                break
            for delivery in due:
                if counts[delivery.host] < AT_ONCE_PER_HOST:
                    counts[delivery.host] += 1
                    self._start(delivery)
        next_s = await self._in_thread(self._outbox.next_due_s, now_s)
        return _LONGEST_SLEEP_S if next_s is None else min(max(0.0, next_s - now_s), _LONGEST_SLEEP_S)

    def _start(self, delivery: Delivery) -> None:
        self._sending[delivery.delivery_id] = delivery.host
        task = asyncio.create_task(self._send(delivery), name=f"delivery {delivery.delivery_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, delivery: Delivery) -> None:
        try:
            await self._attempt(delivery)
        except Exception:
            log.exception("delivery %s failed unexpectedly", delivery.delivery_id)
            await self._postpone(delivery, "an unexpected failure")
        finally:
            del self._sending[delivery.delivery_id]
            self._woken.set()

    async def _attempt(self, delivery: Delivery) -> None:
        try:
            body, media_type = await self._body(delivery)
        except ImageNotFound:
            await self._give_up(delivery, "its picture is no longer kept")
            return
        try:
            secrets = await in_thread(read_secrets, self._secrets_path)
        except (SecretsUnreadable, OSError) as failure:
            await self._postpone(delivery, str(failure))
            return
        headers = webhook_headers(
            secrets, delivery_id=delivery.delivery_id, timestamp_s=int(self._clock()), body=body
        )
        try:
            status = await self._fetcher.send(
                delivery.url,
                method="POST" if delivery.kind == "webhook" else "PUT",
                body=body,
                headers={**headers, "Content-Type": media_type},
            )
        except FetchRefused as refusal:
            await self._give_up(delivery, str(refusal))
        except FetchFailed as failure:
            await self._postpone(delivery, str(failure))
        else:
            if 200 <= status < 300:
                await self._write_outcome(delivery, self._outbox.remove)
                log.info("%s of task %s arrived", delivery.kind, delivery.task_uuid)
            elif status == _GONE:
                await self._give_up(delivery, "its receiver says that it is gone for good (410)")
            else:
                await self._postpone(delivery, f"its receiver answered with status {status}")

    async def _body(self, delivery: Delivery) -> tuple[bytes, str]:
        """What to send, and its media type. Raises `ImageNotFound`."""
        data = b""
        if delivery.image_uuid is not None and delivery.extension is not None:
            if delivery.kind == "upload":
                data = await self._pictures.data_of(delivery.image_uuid, delivery.extension)
                return data, MEDIA_TYPE_OF_EXTENSION[delivery.extension]
            if delivery.embed:
                # Whoever deleted the picture since still wants to know that it was made.
                with contextlib.suppress(ImageNotFound):
                    data = await self._pictures.data_of(delivery.image_uuid, delivery.extension)
        payload = json.loads(json.dumps(delivery.payload))
        if data and delivery.extension is not None:
            [item] = payload["data"]
            encoded = (await in_thread(base64.b64encode, data)).decode("ascii")
            name = "guideImage" if "guideImageUUID" in item else "image"
            if "base64Data" in delivery.embed:
                item[f"{name}Base64Data"] = encoded
            if "dataURI" in delivery.embed:
                item[f"{name}DataURI"] = (
                    f"data:{MEDIA_TYPE_OF_EXTENSION[delivery.extension]};base64,{encoded}"
                )
        return json.dumps(payload, separators=(",", ":")).encode("ascii"), "application/json"

    async def _postpone(self, delivery: Delivery, reason: str) -> None:
        delay_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(delivery.attempts, 20))
        due_s = self._clock() + delay_s * random.uniform(0.8, 1.2)
        if due_s > delivery.created_s + GIVE_UP_S:
            await self._give_up(delivery, f"a day has passed; at last {reason}")
            return
        await self._write_outcome(delivery, partial(self._outbox.postpone, due_s=due_s))
        log.info("%s of task %s did not arrive: %s", delivery.kind, delivery.task_uuid, reason)

    async def _give_up(self, delivery: Delivery, reason: str) -> None:
        # Said first: once it is removed, this server may end before it has said why.
        log.warning("%s of task %s is given up: %s", delivery.kind, delivery.task_uuid, reason)
        await self._write_outcome(delivery, self._outbox.remove)

    async def _write_outcome(self, delivery: Delivery, write: Callable[[str], None]) -> None:
        """Write down what became of an attempt, as soon as the database takes it.

        Until then the delivery keeps its place among those under way: it is not sent a second time meanwhile, and with
        a database that takes nothing no more than `AT_ONCE` are sent at all. What the end of the server interrupts
        here is sent again after its restart.
        """
        await until_written(
            partial(self._in_thread, write, delivery.delivery_id),
            what=f"the outcome of delivery {delivery.delivery_id}",
            # It is cancelled instead.
            stopping=asyncio.Event(),
        )
