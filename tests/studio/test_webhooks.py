"""Results reach the places that tasks name: at least once, signed, again after failures, and across restarts."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import io
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from PIL import Image
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import OperationalError

from tests.studio.conftest import Workplace, error_of, fresh_database, item_of, transformation
from underpaint.database import deliveries
from underpaint.engine.messages import Failed
from underpaint.images import Fetcher, FetchPolicy
from underpaint.studio import persistence
from underpaint.studio import webhooks as module
from underpaint.studio.deliveries import Outbox
from underpaint.studio.signing import SecretsUnreadable, read_secrets
from underpaint.studio.webhooks import Webhooks


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110, there is nothing to be told by
            await asyncio.sleep(0.005)


@dataclass
class Receiver:
    """A web server that notes what it is sent, and answers with the statuses that it is told to, then with 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    received: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    hang: bool = False

    async def answer(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append((request.method, headers, await request.read()))
        if self.hang:
            await asyncio.sleep(3600)
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    @property
    def payloads(self) -> list[Any]:
        return [json.loads(body) for _, _, body in self.received]

    async def has(self, count: int) -> None:
        await until(lambda: len(self.received) >= count)


@asynccontextmanager
async def receiving(host: str = "127.0.0.1", **how: Any) -> AsyncIterator[Receiver]:
    receiver = Receiver(**how)
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", receiver.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.01)
    await runner.setup()
    listener = socket.create_server((host, 0))
    await web.SockSite(runner, listener).start()
    receiver.url = f"http://{host}:{listener.getsockname()[1]}/hook?token=secret"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@asynccontextmanager
async def sending(workplace: Workplace, **how: Any) -> AsyncIterator[Webhooks]:
    """What `open_studio` has running beside its studio."""
    sender = Webhooks(
        **{"outbox": Outbox(workplace.database), **how},
        fetcher=workplace.pictures.fetcher,
        pictures=workplace.pictures,
        secrets_path=workplace.settings.data_dir / "webhook-secrets",
    )
    workplace.journal.when_due = sender.wake
    running = asyncio.create_task(sender.run())
    try:
        yield sender
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


@pytest.fixture
async def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Workplace]]:
    """Studios that may send to this machine, one after the other on one folder."""
    monkeypatch.setattr(module, "FIRST_DELAY_S", 0.02)
    monkeypatch.setattr(persistence, "FIRST_PAUSE_S", 0.02)
    database = fresh_database(tmp_path)
    async with Fetcher(FetchPolicy(allow_private=True, timeout_s=5)) as fetcher:
        yield lambda **settings: Workplace(tmp_path, database, fetcher, **settings)
    database.dispose()


def outstanding(workplace: Workplace) -> int:
    with workplace.database.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(deliveries)).scalar_one())


async def emptied(workplace: Workplace) -> None:
    await until(lambda: not outstanding(workplace))


def question(task: dict[str, Any]) -> dict[str, Any]:
    return {"taskType": "getResponse", "taskUUID": task["taskUUID"]}


async def test_each_result_is_sent_once_and_the_task_is_answered_at_once(
    local: Callable[..., Workplace],
) -> None:
    workplace = local()
    async with receiving() as receiver, sending(workplace):
        task = transformation(webhookURL=receiver.url, numberResults=3)
        assert item_of(await workplace.perform(task)) == {
            "taskType": "imageInference",
            "taskUUID": task["taskUUID"],
        }
        await receiver.has(3)
        await emptied(workplace)
        results = (await workplace.perform(question(task), hold_s=5)).data
        assert len(receiver.received) == 3
        sent = sorted(
            (item for payload in receiver.payloads for item in payload["data"]), key=lambda it: it["seed"]
        )
        assert [item | {"status": "success"} for item in sent] == [dict(item) for item in results]
        assert {headers["content-type"] for _, headers, _ in receiver.received} == {"application/json"}


async def test_the_signature_is_that_of_standard_webhooks(local: Callable[..., Workplace]) -> None:
    workplace = local()
    path = workplace.settings.data_dir / "webhook-secrets"
    async with receiving() as receiver, sending(workplace):
        await workplace.perform(transformation(webhookURL=receiver.url))
        await receiver.has(1)
    [(method, headers, body)] = receiver.received
    assert method == "POST"
    assert path.stat().st_mode & 0o777 == 0o600
    secret = base64.b64decode(path.read_text().strip().removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60


async def test_during_a_change_of_secrets_both_sign(local: Callable[..., Workplace]) -> None:
    workplace = local()
    path = workplace.settings.data_dir / "webhook-secrets"
    [old] = read_secrets(path)
    path.write_text(f"whsec_{base64.b64encode(b'n' * 32).decode()}\n\n{path.read_text()}")
    assert read_secrets(path) == [b"n" * 32, old]
    async with receiving() as receiver, sending(workplace):
        await workplace.perform(transformation(webhookURL=receiver.url))
        await receiver.has(1)
    assert len(receiver.received[0][1]["webhook-signature"].split()) == 2


@pytest.mark.parametrize("text", ["", "short", "whsec_AAAA", "whsec_" + "ä" * 44])
def test_a_file_that_holds_no_secret_is_no_secret(tmp_path: Path, text: str) -> None:
    (tmp_path / "secrets").write_text(text, "utf-8")
    with pytest.raises(SecretsUnreadable) as refusal:
        read_secrets(tmp_path / "secrets")
    assert not text or text not in str(refusal.value)


async def test_it_is_sent_again_until_it_is_taken_under_the_same_id(local: Callable[..., Workplace]) -> None:
    workplace = local()
    async with receiving(statuses=[500, 404, 302]) as receiver, sending(workplace):
        await workplace.perform(transformation(webhookURL=receiver.url))
        await receiver.has(4)
        await emptied(workplace)
    assert len({headers["webhook-id"] for _, headers, _ in receiver.received}) == 1
    assert len({body for _, _, body in receiver.received}) == 1


class FullOutbox(Outbox):
    """An outbox in a database that can be read but, while it is full, not written; or not for some deliveries."""

    full = True
    unwritable: tuple[str, ...] = ()

    def __init__(self, database: Engine) -> None:
        super().__init__(database)
        self.refused_s: list[float] = []

    def remove(self, delivery_id: str) -> None:
        self._refuse(delivery_id)
        super().remove(delivery_id)

    def postpone(self, delivery_id: str, *, due_s: float) -> None:
        self._refuse(delivery_id)
        super().postpone(delivery_id, due_s=due_s)

    def _refuse(self, delivery_id: str) -> None:
        if self.full and (not self.unwritable or delivery_id in self.unwritable):
            self.refused_s.append(time.monotonic())
            raise OperationalError("", {}, Exception("database or disk is full"))


@pytest.mark.parametrize(("status", "sent"), [(200, 1), (410, 1), (500, 2)])
async def test_an_outcome_that_cannot_be_written_down_is_kept_and_nothing_is_sent_for_it(
    local: Callable[..., Workplace], status: int, sent: int
) -> None:
    workplace = local()
    outbox = FullOutbox(workplace.database)
    async with receiving(statuses=[status]) as receiver, sending(workplace, outbox=outbox) as sender:
        await workplace.perform(transformation(webhookURL=receiver.url))
        await until(lambda: len(outbox.refused_s) >= 3)
        sender.wake()
        await until(lambda: len(outbox.refused_s) >= 6)
        assert (len(receiver.received), outstanding(workplace)) == (1, 1)
        # Less and less often: each pause is twice as long as the one before.
        assert outbox.refused_s[5] - outbox.refused_s[4] >= 0.02 * 2**4
        outbox.full = False
        await emptied(workplace)
        assert len(receiver.received) == sent


async def test_while_no_outcome_can_be_written_down_little_is_sent(
    local: Callable[..., Workplace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    workplace = local()
    outbox = FullOutbox(workplace.database)
    async with receiving() as one, receiving() as two, receiving() as three:
        for receiver in (one, two, three):
            await workplace.perform(transformation(webhookURL=receiver.url))
        async with sending(workplace, outbox=outbox):
            await until(lambda: len(outbox.refused_s) > 8)
            assert sum(len(each.received) for each in (one, two, three)) == 2
            outbox.full = False
            await emptied(workplace)
        assert [len(each.received) for each in (one, two, three)] == [1, 1, 1]


async def test_one_outcome_that_cannot_be_written_down_holds_up_nobody_else(
    local: Callable[..., Workplace],
) -> None:
    workplace = local()
    outbox = FullOutbox(workplace.database)
    async with receiving() as damaged, receiving() as other:
        await workplace.perform(transformation(webhookURL=damaged.url))
        await until(lambda: outstanding(workplace) == 1)
        [first] = outbox.due(time.time(), limit=2, except_hosts=(), except_ids=())
        outbox.unwritable = (first.delivery_id,)
        async with sending(workplace, outbox=outbox):
            await until(lambda: len(outbox.refused_s) > 2)
            await workplace.perform(transformation(webhookURL=other.url))
            await until(lambda: len(other.received) == 1 and outstanding(workplace) == 1)
        assert len(damaged.received) == 1


async def test_the_sender_ends_at_once_while_an_outcome_waits_and_it_is_sent_again_after_a_restart(
    local: Callable[..., Workplace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(persistence, "FIRST_PAUSE_S", 3600.0)
    workplace = local()
    outbox = FullOutbox(workplace.database)
    async with receiving() as receiver:
        async with sending(workplace, outbox=outbox):
            await workplace.perform(transformation(webhookURL=receiver.url))
            await until(lambda: len(outbox.refused_s) > 0)
            began_s = time.monotonic()
        assert time.monotonic() - began_s < 2
        async with sending(workplace):
            await emptied(workplace)
    assert len({headers["webhook-id"] for _, headers, _ in receiver.received}) == 1
    assert len(receiver.received) == 2


async def test_a_receiver_that_is_gone_for_good_is_left_alone(local: Callable[..., Workplace]) -> None:
    workplace = local()
    async with receiving(statuses=[410]) as receiver, sending(workplace):
        await workplace.perform(transformation(webhookURL=receiver.url))
        await receiver.has(1)
        await emptied(workplace)
        assert len(receiver.received) == 1


async def test_what_has_not_arrived_is_sent_after_a_restart(local: Callable[..., Workplace]) -> None:
    before = local()
    task = transformation(numberResults=2)
    async with receiving() as receiver:
        # Nothing is sending: as if the server was killed between the commit and the first attempt.
        await before.perform(task | {"webhookURL": receiver.url})
        await until(lambda: outstanding(before) == 2)
        # The end of the task is written down after its results; two studios must not work on it at once.
        await before.perform(question(task), hold_s=20)
        assert receiver.received == []
        after = local()
        await after.studio.resume()
        async with sending(after):
            await emptied(after)
        assert len(receiver.received) == 2


async def test_a_picture_that_a_crash_left_done_is_neither_made_nor_sent_again(
    local: Callable[..., Workplace],
) -> None:
    before = local()
    before.engine.holding = True
    async with receiving() as receiver, sending(before):
        task = transformation(numberResults=3, webhookURL=receiver.url)
        await before.perform(task)
        await before.engine.begun.wait()
        before.engine.release(1)
        await receiver.has(1)
        await emptied(before)
        after = local()
        async with sending(after):
            await after.studio.resume()
            await receiver.has(3)
            await emptied(after)
        reply = await after.perform(question(task), hold_s=5)
    assert [job.seed for job in after.engine.jobs] == [8, 9]
    assert [item["seed"] for item in reply.data] == [7, 8, 9]
    sent = [item["imageUUID"] for payload in receiver.payloads for item in payload["data"]]
    assert sorted(sent) == sorted(item["imageUUID"] for item in reply.data)


async def test_a_crash_between_the_last_picture_and_the_end_only_ends_the_task(
    local: Callable[..., Workplace], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = local()
    task = transformation(deliveryMethod="async", numberResults=2)
    monkeypatch.setattr(before.journal, "succeed", lambda record: time.sleep(3))
    await before.perform(task)
    await until(lambda: len(before.journal.unfinished()[0].results) == 2)
    [record] = before.journal.unfinished()
    after = local()
    await after.studio.resume()
    reply = await after.perform(question(task), hold_s=5)
    assert [item["imageUUID"] for item in reply.data] == [result.image_uuid for result in record.results]
    assert after.engine.jobs == []


async def test_a_failure_is_sent_too(local: Callable[..., Workplace]) -> None:
    workplace = local()
    workplace.engine.failure = Failed(job_id="", code="failed", message="out of paint")
    async with receiving() as receiver, sending(workplace):
        task = transformation(webhookURL=receiver.url, numberResults=2)
        await workplace.perform(task)
        await receiver.has(1)
        await emptied(workplace)
    [payload] = receiver.payloads
    [error] = payload["errors"]
    assert (error["code"], error["taskUUID"]) == ("inferenceError", task["taskUUID"])


async def test_pictures_stand_in_the_payload_when_the_task_wants_them_there(
    local: Callable[..., Workplace],
) -> None:
    workplace = local()
    async with receiving() as receiver, sending(workplace):
        await workplace.perform(
            transformation(webhookURL=receiver.url, outputType=["base64Data", "dataURI"], outputFormat="PNG")
        )
        await receiver.has(1)
    [item] = receiver.payloads[0]["data"]
    assert "imageURL" not in item
    picture = base64.b64decode(item["imageBase64Data"])
    assert Image.open(io.BytesIO(picture)).size == (128, 128)
    assert item["imageDataURI"] == "data:image/png;base64," + item["imageBase64Data"]


@pytest.mark.parametrize("format", ["JPG", "PNG", "WEBP"])
async def test_the_file_is_put_where_the_task_says(local: Callable[..., Workplace], format: str) -> None:
    workplace = local()
    async with receiving(statuses=[503]) as receiver, sending(workplace):
        item = item_of(
            await workplace.perform(transformation(uploadEndpoint=receiver.url, outputFormat=format))
        )
        await receiver.has(2)
    opened = await workplace.studio.open_image(item["imageUUID"], item["imageURL"].rpartition(".")[2])
    assert opened is not None
    assert [(method, body) for method, _, body in receiver.received] == [("PUT", opened.data)] * 2
    assert {headers["content-type"] for _, headers, _ in receiver.received} == {opened.media_type}


async def test_a_receiver_that_does_not_answer_holds_up_nobody_else(local: Callable[..., Workplace]) -> None:
    workplace = local()
    async with receiving(hang=True) as slow, receiving() as quick, sending(workplace):
        await workplace.perform(transformation(webhookURL=slow.url, numberResults=20))
        await slow.has(module.AT_ONCE_PER_HOST)
        began_s = time.monotonic()
        await workplace.perform(transformation(webhookURL=quick.url))
        await quick.has(1)
        assert time.monotonic() - began_s < 2
        assert len(slow.received) == module.AT_ONCE_PER_HOST


async def test_after_a_day_it_is_given_up(
    local: Callable[..., Workplace], caplog: pytest.LogCaptureFixture
) -> None:
    workplace = local()
    async with receiving(statuses=[500] * 9) as receiver:
        async with sending(workplace, clock=lambda: time.time() + module.GIVE_UP_S):
            await workplace.perform(transformation(webhookURL=receiver.url))
            await receiver.has(1)
            await emptied(workplace)
        assert len(receiver.received) == 1
    assert "given up" in caplog.text
    assert "token=secret" not in caplog.text


def test_a_day_has_few_attempts_and_an_hour_is_the_longest_pause() -> None:
    delays = [min(module.LONGEST_DELAY_S, module.FIRST_DELAY_S * 2**attempt) for attempt in range(40)]
    attempts = next(count for count in range(40) if sum(delays[:count]) > module.GIVE_UP_S)
    assert 25 < attempts < 40


@pytest.mark.parametrize(
    ("parameter", "url", "code"),
    [
        ("webhookURL", "http://127.0.0.1/x", "invalidWebhookURL"),
        ("webhookURL", "http://[::ffff:10.0.0.1]/x", "invalidWebhookURL"),
        ("webhookURL", "http://2130706433/x", "invalidWebhookURL"),
        ("webhookURL", "http://user:word@example.com/", "invalidWebhookURL"),
        ("webhookURL", "ftp://example.com/", "invalidWebhookURL"),
        ("webhookURL", 7, "invalidWebhookURL"),
        ("uploadEndpoint", "http://169.254.169.254/latest", "invalidUploadEndpoint"),
        ("uploadEndpoint", "file:///etc/passwd", "invalidUploadEndpoint"),
    ],
)
async def test_where_nothing_would_be_sent_the_task_is_refused(
    workplace: Workplace, parameter: str, url: object, code: str
) -> None:
    error = error_of(await workplace.perform(transformation(**{parameter: url})))
    assert (error["code"], error["parameter"]) == (code, parameter)
    assert workplace.engine.jobs == []


async def test_a_name_that_turns_out_to_be_private_gets_nothing(tmp_path: Path) -> None:
    class Inward(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: Any = socket.AF_INET
        ) -> list[ResolveResult]:
            return [
                ResolveResult(
                    hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0
                )
            ]

        async def close(self) -> None:
            pass

    database = fresh_database(tmp_path)
    async with Fetcher(FetchPolicy(), resolver=Inward()) as fetcher, receiving() as receiver:
        workplace = Workplace(tmp_path, database, fetcher)
        async with sending(workplace):
            url = receiver.url.replace("127.0.0.1", "innocent.example")
            item_of(await workplace.perform(transformation(webhookURL=url)))
            await until(lambda: bool(workplace.engine.jobs))
            await workplace.studio.drain(5)
            await emptied(workplace)
        assert receiver.received == []
    database.dispose()
