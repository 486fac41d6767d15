import httpx

from .conftest import Running, image_task
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
