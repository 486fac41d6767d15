"""What a key may send, and how often."""

from dataclasses import replace

import httpx
import pytest

from underpaint.permissions import Limits, Permissions
from underpaint.server.keys import KeyRing
from underpaint.server.limits import RequestRates
from underpaint.studio.caller import Caller
from underpaint.wire import TaskError

from .conftest import Running, ask, image_task

CALLER = Caller(owner="k", base_url="http://server.test", limits=Limits(requests_per_s=2))


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def admitted(rates: RequestRates, caller: Caller = CALLER, task_type: str = "imageInference") -> bool:
    code = None
    try:
        rates.admit(task_type, caller)
    except TaskError as error:
        code = error.code
    assert code in (None, "rateLimitExceeded")
    return code is None


def test_a_key_may_send_what_it_may_send_in_a_second() -> None:
    clock = Clock()
    rates = RequestRates(clock=clock)
    assert [admitted(rates) for _ in range(3)] == [True, True, False]
    clock.now_s += 0.49
    assert not admitted(rates)
    clock.now_s += 0.02
    assert [admitted(rates), admitted(rates)] == [True, False]
    clock.now_s += 3600
    assert [admitted(rates) for _ in range(3)] == [True, True, False]


def test_keys_do_not_use_up_each_others_rate() -> None:
    rates = RequestRates(clock=Clock())
    assert [admitted(rates) for _ in range(3)][-1] is False
    assert admitted(rates, replace(CALLER, owner="other"))
    assert all(admitted(rates, replace(CALLER, owner="free", limits=Limits())) for _ in range(1000))


@pytest.mark.parametrize("task_type", ["getResponse", "getTaskDetails", "cancelTask"])
def test_polling_and_cancelling_do_not_count(task_type: str) -> None:
    rates = RequestRates(clock=Clock())
    assert all(admitted(rates, task_type=task_type) for _ in range(100))
    assert admitted(rates)


def key(inside: Running, **permissions: object) -> dict[str, str]:
    _, made = inside._keys().add("test", Permissions(**permissions))  # type: ignore[arg-type]
    inside.services.access._read_s = float("-inf")
    return {"Authorization": f"Bearer {made}"}


async def test_over_http_it_is_a_429_with_the_time_to_wait(inside: Running, http: httpx.AsyncClient) -> None:
    headers = key(inside, limits=Limits(requests_per_s=0.001))
    assert (await http.post("/", json=[image_task("a")], headers=headers)).status_code == 200
    reply = await http.post("/", json=[image_task("b")], headers=headers)
    assert reply.status_code == 429
    assert int(reply.headers["Retry-After"]) > 0
    [error] = reply.json()["errors"]
    assert (error["code"], error["taskUUID"], error["taskType"]) == (
        "rateLimitExceeded",
        "b",
        "imageInference",
    )


async def test_a_full_queue_is_a_429_with_the_time_to_wait(http: httpx.AsyncClient) -> None:
    reply = await http.post("/", json=[image_task("a", "full")])
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (429, "rateLimitExceeded")
    assert int(reply.headers["Retry-After"]) > 0


async def test_the_settings_limit_keys_that_have_no_limit_of_their_own(start: object) -> None:
    server = await start(key_requests_per_s=0.001)  # type: ignore[operator]
    async with server.authenticated() as socket:
        assert "data" in await ask(socket, image_task("a"))
        [error] = (await ask(socket, image_task("b")))["errors"]
        assert (error["code"], error["taskUUID"]) == ("rateLimitExceeded", "b")
    generous = key(server, limits=Limits(requests_per_s=1000))
    async with httpx.AsyncClient(base_url=server.url, headers=generous) as client:
        for name in "cdef":
            assert (await client.post("/", json=[image_task(name)])).status_code == 200


@pytest.mark.parametrize(
    ("scope", "allowed", "refused"),
    [
        ("uploads", {"taskType": "getResponse", "taskUUID": "x"}, image_task("y")),
        ("inference", image_task("y"), {"taskType": "imageUpload", "taskUUID": "x", "image": "x"}),
        ("inference", image_task("y"), {"taskType": "modelUpload", "taskUUID": "x"}),
        ("search", {"taskType": "modelSearch", "taskUUID": "x"}, image_task("y")),
    ],
)
async def test_a_key_may_do_what_its_scopes_say(
    inside: Running, http: httpx.AsyncClient, scope: str, allowed: object, refused: object
) -> None:
    headers = key(inside, scopes=frozenset({scope}))
    reply = await http.post("/", json=[allowed], headers=headers)
    assert reply.status_code == 200
    reply = await http.post("/", json=[refused], headers=headers)
    assert reply.status_code == 403
    [error] = reply.json()["errors"]
    assert (error["code"], error["parameter"]) == ("insufficientPermissions", "taskType")
    assert f"the scopes of this key: {scope}" in error["message"]


async def test_an_expired_key_is_refused(inside: Running, http: httpx.AsyncClient) -> None:
    clock = Clock()
    ring = KeyRing(inside._keys()._database, clock=clock)
    key_id, made = ring.add("short", Permissions(expires_s=1010))
    assert ring.authenticate(made) == key_id
    clock.now_s = 1010
    assert ring.authenticate(made) is None
    assert not ring.snapshot().is_valid(key_id)
    inside.services.access._read_s = float("-inf")
    reply = await http.post("/", json=[image_task("a")], headers={"Authorization": f"Bearer {made}"})
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (401, "invalidApiKey")


@pytest.mark.parametrize(
    ("permissions", "words"),
    [
        (Permissions(scopes=frozenset()), "scope"),
        (Permissions(expires_s=999.0), "expired"),
        (Permissions(expires_s=float("nan")), "expired"),
        (Permissions(limits=Limits(queued_tasks=0)), "positive"),
        (Permissions(limits=Limits(requests_per_s=float("nan"))), "positive"),
    ],
)
def test_keys_that_could_do_nothing_are_not_made(
    inside: Running, permissions: Permissions, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        KeyRing(inside._keys()._database, clock=Clock()).add("name", permissions)
