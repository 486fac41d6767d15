from typing import Any

import httpx
import pytest

from underpaint.engine.process import Doings
from underpaint.permissions import Permissions
from underpaint.server.keys import KeyRing
from underpaint.server.mishaps import MOST_KEPT, Mishaps
from underpaint.studio.caller import Reply
from underpaint.wire import TaskError

from .conftest import Listening, Running, ask, image_task
from .fake_studio import FakeStatus


async def test_the_process_is_alive_whatever_the_engine_does(
    inside: Running, http: httpx.AsyncClient
) -> None:
    inside.studio.now = FakeStatus(ready=False)
    assert (await http.get("/healthz")).status_code == 200


async def test_ready(inside: Running, http: httpx.AsyncClient) -> None:
    inside.studio.now = FakeStatus(waiting=3, running=2)
    reply = await http.get("/readyz")
    assert reply.status_code == 200
    assert reply.json() == {"ready": True, "waiting": 3, "running": 2}


async def test_not_ready_says_why(inside: Running, http: httpx.AsyncClient) -> None:
    for status, reason in ((FakeStatus(ready=False), "engine"), (FakeStatus(draining=True), "stopping")):
        inside.studio.now = status
        reply = await http.get("/readyz")
        assert reply.status_code == 503
        assert reply.json()["ready"] is False
        assert reason in reply.json()["reason"]


async def test_metrics_count_tasks_and_requests(inside: Running, http: httpx.AsyncClient) -> None:
    inside.studio.now = FakeStatus(waiting=3, running=2, engine_restarts=1)
    tasks = [
        image_task("a"),
        image_task("b", "bad strength"),
        image_task("c", "crash"),
        {"taskType": "x" * 300, "taskUUID": "d"},
        {"taskType": "made up", "taskUUID": "e"},
    ]
    await http.post("/v1", json=tasks)
    await http.get("/images/nothing")
    reply = await http.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain")
    lines = reply.text.splitlines()
    for expected in (
        'underpaint_tasks_total{outcome="success",task_type="imageInference"} 1.0',
        'underpaint_tasks_total{outcome="refused",task_type="imageInference"} 1.0',
        'underpaint_tasks_total{outcome="failed",task_type="imageInference"} 1.0',
        'underpaint_task_seconds_count{task_type="imageInference"} 3.0',
        'underpaint_task_seconds_count{task_type="unknown"} 2.0',
        'underpaint_http_requests_total{method="POST",place="tasks",status="200"} 1.0',
        'underpaint_http_requests_total{method="GET",place="images",status="404"} 1.0',
        "underpaint_results_waiting 3.0",
        "underpaint_results_running 2.0",
        "underpaint_engine_restarts_total 1.0",
        "underpaint_ready 1.0",
        "underpaint_websocket_connections 0.0",
    ):
        assert expected in lines
    assert "made up" not in reply.text


async def test_metrics_of_the_engine(inside: Running, http: httpx.AsyncClient) -> None:
    doings = Doings(
        passes={2: 3, 8: 1}, pass_seconds=1.5, memory_bytes=2**30, models=("underpaint:1@2", 'a"b')
    )
    inside.studio.now = FakeStatus(engine=doings)
    lines = (await http.get("/metrics")).text.splitlines()
    for expected in (
        'underpaint_engine_pass_rows_bucket{le="1.0"} 0.0',
        'underpaint_engine_pass_rows_bucket{le="2.0"} 3.0',
        'underpaint_engine_pass_rows_bucket{le="+Inf"} 4.0',
        "underpaint_engine_pass_rows_sum 14.0",
        "underpaint_engine_pass_seconds_total 1.5",
        "underpaint_engine_memory_bytes 1.073741824e+09",
        'underpaint_engine_model_loaded{model="underpaint:1@2"} 1.0',
        'underpaint_engine_model_loaded{model="a\\"b"} 1.0',
    ):
        assert expected in lines


class TestErrors:
    async def test_they_are_kept_without_what_was_asked(self, http: httpx.AsyncClient) -> None:
        tasks = [image_task("a", "bad strength"), image_task("b", "crash"), image_task("c")]
        await http.post("/v1", json=tasks)
        reply = await http.get("/operator/errors")
        assert reply.status_code == 200
        errors = reply.json()["errors"]
        assert {error["taskUUID"] for error in errors} == {"a", "b"}
        assert all(
            set(error) == {"time", "status", "code", "message", "taskType", "taskUUID"} for error in errors
        )

    def test_the_same_error_again_is_no_news_and_old_ones_go(self) -> None:
        mishaps = Mishaps(clock=lambda: 5.0)
        for number in (*range(MOST_KEPT + 1), MOST_KEPT):
            item = TaskError("inferenceError", "no").item(task_uuid=str(number), task_type="imageInference")
            mishaps.note(Reply(errors=((400, item),)))
        kept = mishaps.items()
        assert [error["taskUUID"] for error in kept] == [str(number) for number in range(MOST_KEPT, 0, -1)]
        assert kept[0]["time"] == 5.0

    async def test_they_need_the_scope(self, server: Listening) -> None:
        keys = {
            scope: server._keys().add(scope, Permissions(scopes=frozenset({scope})))[1]
            for scope in ("operator", "search")
        }
        server.services.access._read_s = float("-inf")
        async with httpx.AsyncClient(base_url=server.url) as http:
            for key, status_code in (("operator", 200), ("search", 403)):
                headers = {"Authorization": f"Bearer {keys[key]}"}
                assert (await http.get("/operator/errors", headers=headers)).status_code == status_code
            assert (await http.get("/operator/errors")).status_code == 401


async def test_a_database_that_is_away_is_no_reason_to_end_the_process(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server: Listening = await start()
    _, key = server.add_key()
    access = server.app.state.services.access
    async with httpx.AsyncClient(base_url=server.url) as http, server.socket() as socket:
        assert "data" in await ask(socket, {"taskType": "authentication", "apiKey": key})

        def fail(*_: object) -> None:
            raise OSError("connection refused")

        monkeypatch.setattr(KeyRing, "snapshot", fail)
        # As long after the keys were read as they count.
        monkeypatch.setattr(access, "_read_s", access._read_s - 100)
        monkeypatch.setattr(access, "_tried_s", access._tried_s - 100)
        for path in ("/healthz", "/metrics"):
            assert (await http.get(path)).status_code == 200
        headers = {"Authorization": f"Bearer {key}"}
        reply = await http.post("/v1", json=[image_task("a")], headers=headers)
        assert reply.status_code == 503
        assert reply.json()["errors"][0]["code"] == "serviceUnavailable"
        refused = await ask(socket, image_task("b"))
        [error] = refused["errors"]
        assert (error["code"], error["taskUUID"]) == ("serviceUnavailable", image_task("b")["taskUUID"])
        monkeypatch.undo()
        assert (await http.post("/v1", json=[image_task("c")], headers=headers)).status_code == 200
        assert "data" in await ask(socket, image_task("d"))
