import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from underpaint.server.app import create_app
from underpaint.settings import Settings

from .conftest import Listening, Running, image_task, until
from .fake_studio import FakeStudio

BEARER = {"Authorization": "Bearer any"}


async def post(http: httpx.AsyncClient, *tasks: object, **headers: str) -> httpx.Response:
    return await http.post("/v1", json=tasks, headers={**BEARER, **headers})


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v1?sdk=js&version=1.3.2"])
async def test_every_address_that_clients_post_to_answers_tasks(http: httpx.AsyncClient, path: str) -> None:
    reply = await http.post(path, json=[image_task("a")], headers=BEARER)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    assert [item["taskUUID"] for item in reply.json()["data"]] == ["a"]


async def test_success_has_no_key_that_clients_take_for_a_failure(http: httpx.AsyncClient) -> None:
    reply = await post(http, image_task("a", numberResults=3))
    assert list(reply.json()) == ["data"]
    assert len(reply.json()["data"]) == 3


async def test_a_failure_has_the_status_of_its_error(http: httpx.AsyncClient) -> None:
    reply = await post(http, image_task("a", "bad strength"))
    assert reply.status_code == 400
    error = reply.json()["errors"][0]
    assert (error["code"], error["parameter"], error["taskUUID"], error["taskType"]) == (
        "invalidStrength",
        "strength",
        "a",
        "imageInference",
    )


async def test_tasks_fail_one_by_one(http: httpx.AsyncClient) -> None:
    reply = await post(http, image_task("a"), image_task("b", "bad strength"), 17, image_task("c", "crash"))
    assert reply.status_code == 200
    assert [item["taskUUID"] for item in reply.json()["data"]] == ["a"]
    assert [error["code"] for error in reply.json()["errors"]] == [
        "invalidStrength",
        "invalidTask",
        "internalServerError",
    ]


async def test_the_second_task_with_a_uuid_is_a_conflict(http: httpx.AsyncClient) -> None:
    reply = await post(http, image_task("a"), image_task("a"))
    assert [item["taskUUID"] for item in reply.json()["data"]] == ["a"]
    assert [error["code"] for error in reply.json()["errors"]] == ["conflictTaskUUID"]


async def test_tasks_of_a_request_run_side_by_side(inside: Running, http: httpx.AsyncClient) -> None:
    posting = asyncio.ensure_future(post(http, image_task("a", "wait"), image_task("b", "wait")))
    assert {await inside.studio.started.get(), await inside.studio.started.get()} == {"a", "b"}
    inside.studio.let_go("b")
    inside.studio.let_go("a")
    assert [item["taskUUID"] for item in (await posting).json()["data"]] == ["a", "b"]


async def test_get_response_is_not_held_open_over_http(inside: Running, http: httpx.AsyncClient) -> None:
    await post(http, {"taskType": "getResponse", "taskUUID": "a"})
    assert inside.studio.holds_s == [0.0]


async def test_links_start_with_the_url_that_the_client_used(
    inside: Running, http: httpx.AsyncClient
) -> None:
    await post(http, image_task("a"))
    await post(http, image_task("b"), Host="localhost:1234")
    assert [caller.base_url for caller in inside.studio.callers] == [inside.url, "http://localhost:1234"]


async def test_links_start_with_the_public_url_where_there_is_one(start: Any) -> None:
    server: Running = await start(public_url="https://pictures.example/api/")
    key = f"Bearer {server.add_key()[1]}"
    async with httpx.AsyncClient(base_url=server.url) as http:
        await post(http, image_task("a"), Authorization=key)
        await post(http, image_task("b"), Authorization=key, Host="pictures.example")
    assert [caller.base_url for caller in server.studio.callers] == ["https://pictures.example/api"] * 2


async def test_a_ping_is_answered(http: httpx.AsyncClient) -> None:
    reply = await post(http, {"taskType": "ping", "ping": True})
    assert reply.json() == {"data": [{"taskType": "ping", "pong": True}]}


class TestDelete:
    async def test_cancels_the_task(self, inside: Running, http: httpx.AsyncClient) -> None:
        posting = asyncio.ensure_future(post(http, image_task("a", "wait")))
        await inside.studio.started.get()
        reply = await http.delete("/v1/tasks/a", headers=BEARER)
        assert reply.status_code == 200
        assert reply.json() == {"data": [{"taskType": "cancelTask", "taskUUID": "a", "status": "cancelled"}]}
        refused = await posting
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["code"] == "taskCancelled"

    async def test_does_what_the_task_does(self, inside: Running, http: httpx.AsyncClient) -> None:
        await post(http, image_task("a"))
        by_task = await post(http, {"taskType": "cancelTask", "taskUUID": "a"})
        assert by_task.json() == (await http.delete("/v1/tasks/a", headers=BEARER)).json()
        assert inside.studio.cancelled == ["a", "a"]

    async def test_of_an_unknown_task_is_an_error_of_the_api(self, http: httpx.AsyncClient) -> None:
        reply = await http.delete("/v1/tasks/b", headers=BEARER)
        assert reply.status_code == 404
        error = reply.json()["errors"][0]
        assert (error["code"], error["taskUUID"], error["taskType"]) == ("taskNotFound", "b", "cancelTask")

    async def test_takes_a_key_like_a_post(self, inside: Running, http: httpx.AsyncClient) -> None:
        key_id, key = inside.add_key()
        for headers in ({}, BEARER):
            reply = await http.delete("/v1/tasks/a", headers=headers)
            assert reply.status_code == 401
            assert reply.json()["errors"][0]["code"] in {"missingApiKey", "invalidApiKey"}
        assert inside.studio.callers == []
        await http.delete("/v1/tasks/a", headers={"Authorization": f"Bearer {key}"})
        assert [caller.owner for caller in inside.studio.callers] == [key_id]

    @pytest.mark.parametrize("path", ["/v1/tasks/", "/v1/tasks/a/b", "/v1/tasks"])
    async def test_needs_one_task(self, http: httpx.AsyncClient, path: str) -> None:
        assert (await http.delete(path, headers=BEARER)).status_code == 404

    async def test_is_open_to_the_pages_that_may_post(self, http: httpx.AsyncClient) -> None:
        origin = {"Origin": "http://localhost:3000"}
        preflight = await http.options("/v1/tasks/a", headers=origin)
        assert preflight.status_code == 204
        assert "DELETE" in preflight.headers["access-control-allow-methods"]
        reply = await http.delete("/v1/tasks/a", headers={**BEARER, **origin})
        assert reply.headers["access-control-allow-origin"] == "http://localhost:3000"
        foreign = await http.delete("/v1/tasks/a", headers={**BEARER, "Origin": "https://evil.example"})
        assert foreign.status_code == 403

    async def test_is_counted_with_the_tasks(self, inside: Running, http: httpx.AsyncClient) -> None:
        await http.delete("/v1/tasks/a", headers=BEARER)
        line = b'underpaint_http_requests_total{method="DELETE",place="tasks",status="404"} 1.0'
        assert line in inside.services.metrics.render()


class TestAClientThatHangsUp:
    async def hang_up_on(self, server: Listening, *tasks: dict[str, object]) -> None:
        """Post tasks, and be gone as soon as they have begun."""
        host, port = server.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        body = json.dumps(tasks).encode()
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        for _ in tasks:
            await server.studio.started.get()
        writer.close()
        await writer.wait_closed()

    async def test_leaves_its_tasks_to_those_who_ask_later(self, server: Listening) -> None:
        await self.hang_up_on(server, image_task("a", "wait"))
        async with httpx.AsyncClient(base_url=server.url) as http:
            await post(http, image_task("b"))
        assert server.studio.cancelled == []
        server.studio.let_go("a")

    async def test_takes_its_tasks_along_where_the_setting_says_so(self, start: Any) -> None:
        server: Listening = await start(cancel_on_disconnect=True)
        await self.hang_up_on(server, image_task("a", "wait"), image_task("b", "wait"))
        await until(lambda: sorted(server.studio.cancelled) == ["a", "b"])

    async def test_cancels_nothing_by_waiting_for_the_answer(self, start: Any) -> None:
        server: Listening = await start(cancel_on_disconnect=True)
        async with httpx.AsyncClient(base_url=server.url) as http:
            for uuid in "ab":
                posting = asyncio.ensure_future(post(http, image_task(uuid, "wait")))
                await server.studio.started.get()
                server.studio.let_go(uuid)
                assert (await posting).status_code == 200
        assert server.studio.cancelled == []


class TestKeys:
    @pytest.mark.parametrize("header", [{}, BEARER, {"Authorization": "Basic abc"}])
    async def test_any_key_and_none_is_accepted_without_keys(
        self, inside: Running, http: httpx.AsyncClient, header: dict[str, str]
    ) -> None:
        assert (await http.post("/", json=[image_task("a")], headers=header)).status_code == 200
        assert inside.studio.callers[0].owner == ""

    async def test_a_key_in_the_header_is_the_owner_of_the_tasks(
        self, inside: Running, http: httpx.AsyncClient
    ) -> None:
        key_id, key = inside.add_key()
        reply = await post(http, image_task("a"), Authorization=f"bearer {key}")
        assert reply.status_code == 200
        assert inside.studio.callers[0].owner == key_id

    async def test_a_key_in_the_first_element_counts_and_is_not_echoed(
        self, inside: Running, http: httpx.AsyncClient
    ) -> None:
        key_id, key = inside.add_key()
        tasks = [{"taskType": "authentication", "apiKey": key}, image_task("a")]
        reply = await http.post("/", json=tasks)
        assert [item["taskType"] for item in reply.json()["data"]] == ["imageInference"]
        assert inside.studio.callers[0].owner == key_id

    async def test_authentication_later_in_the_request_is_refused(self, http: httpx.AsyncClient) -> None:
        reply = await http.post("/", json=[image_task("a"), {"taskType": "authentication", "apiKey": "k"}])
        assert len(reply.json()["data"]) == 1
        assert reply.json()["errors"][0]["code"] == "invalidTaskType"

    async def test_without_a_key_the_request_is_refused_as_soon_as_there_is_one(
        self, inside: Running, http: httpx.AsyncClient
    ) -> None:
        inside.add_key()
        reply = await http.post("/", json=[image_task("a")])
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"] == "Bearer"
        assert reply.json()["errors"][0]["code"] == "missingApiKey"
        assert reply.json()["error"] == reply.json()["errors"][0]
        assert inside.studio.callers == []

    @pytest.mark.parametrize("in_header", [True, False])
    async def test_a_wrong_key_is_refused(
        self, inside: Running, http: httpx.AsyncClient, in_header: bool
    ) -> None:
        inside.add_key()
        authentication = [] if in_header else [{"taskType": "authentication", "apiKey": "wrong"}]
        header = {"Authorization": "Bearer wrong"} if in_header else {}
        reply = await http.post("/", json=[*authentication, image_task("a")], headers=header)
        assert reply.status_code == 401
        assert reply.json()["errors"][0]["code"] == "invalidApiKey"
        assert inside.studio.callers == []


class TestBadRequests:
    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"", "invalidJson"),
            (b"[{", "invalidJson"),
            (b'[{"strength": NaN}]', "invalidJson"),
            (b"\xff\xfe", "invalidJson"),
            (b"[" * 100_000 + b"]" * 100_000, "invalidJson"),
            (b'"imageInference"', "invalidRequest"),
            (b"[]", "arrayTooSmall"),
            (b"[" + b"[]," * 300_000 + b"[]]", "valueTooLarge"),
        ],
    )
    async def test_what_is_no_array_of_tasks_gets_an_error(
        self, http: httpx.AsyncClient, body: bytes, code: str
    ) -> None:
        reply = await http.post("/", content=body, headers=BEARER)
        assert reply.status_code in {400, 413}
        assert reply.json()["errors"][0]["code"] == code
        assert reply.json()["data"] == []

    async def test_a_body_over_the_limit_is_refused_by_its_declared_length(self, start: Any) -> None:
        server: Running = await start(max_request_bytes=2000)
        async with httpx.AsyncClient(base_url=server.url) as http:
            reply = await http.post("/", content=b"x" * 2001)
        assert reply.status_code == 413
        assert reply.json()["errors"][0]["code"] == "valueTooLarge"

    async def test_a_body_over_the_limit_is_refused_while_it_arrives(self, start: Any) -> None:
        server: Running = await start(max_request_bytes=2000)

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(10_000):
                yield b"x" * 1000

        async with httpx.AsyncClient(base_url=server.url) as http:
            reply = await http.post("/", content=endless())
        assert reply.status_code == 413

    async def test_a_client_that_stops_sending_is_told(
        self, server: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("underpaint.server.reading.BODY_PAUSE_S", 0.05)
        host, port = server.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n[")
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
        writer.close()
        await writer.wait_closed()

    async def test_a_client_that_breaks_off_leaves_nothing_behind(self, server: Running) -> None:
        host, port = server.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n[")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with httpx.AsyncClient(base_url=server.url) as http:
            assert (await post(http, image_task("a"))).status_code == 200

    async def test_a_lone_surrogate_comes_back_as_json(self, http: httpx.AsyncClient) -> None:
        body = json.dumps([image_task("\udfff", "bad strength")])
        reply = await http.post("/", content=body, headers=BEARER)
        assert reply.json()["errors"][0]["taskUUID"] == "?"

    @pytest.mark.parametrize(("method", "path", "status_code"), [("POST", "/v2", 404), ("PUT", "/v1", 405)])
    async def test_other_places_answer_in_the_shape_of_the_api(
        self, http: httpx.AsyncClient, method: str, path: str, status_code: int
    ) -> None:
        reply = await http.request(method, path)
        assert reply.status_code == status_code
        assert reply.json()["errors"][0]["code"] == "invalidRequest"


async def test_a_full_queue_says_when_to_come_back(http: httpx.AsyncClient) -> None:
    reply = await post(http, image_task("a", "full"))
    assert reply.status_code == 429
    assert int(reply.headers["retry-after"]) > 0


async def test_browsers_get_the_playground(http: httpx.AsyncClient) -> None:
    page = await http.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>Underpaint</title>" in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    again = await http.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304
    led = await http.get("/v1")
    assert led.headers["location"] == "./"


async def test_pictures_of_the_public_url_are_shown(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, public_url="https://paint.example/api")
    app = create_app(settings, studio_factory=FakeStudio().open)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            policy = (await client.get("/")).headers["content-security-policy"]
    assert "img-src 'self' https://paint.example data: blob:" in policy
    assert "connect-src 'self' https://paint.example;" in policy
