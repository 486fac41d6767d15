from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from underpaint.server.browsers import why_refused

from .conftest import Running, ask, image_task

LOCAL = "127.0.0.1:8080"


@pytest.mark.parametrize("host", [LOCAL, "localhost:8080", "localhost", "[::1]:8080", "app.localhost"])
@pytest.mark.parametrize(
    "origin",
    [None, "http://localhost:3000", "http://127.0.0.1:8080", "http://[::1]", "https://app.localhost"],
)
def test_programs_and_pages_of_this_machine_may(host: str, origin: str | None) -> None:
    assert why_refused(host=host, origin=origin) is None


@pytest.mark.parametrize(
    "host", [None, "", "evil.example", "evil.example:8080", "127.0.0.1.nip.io", "0.0.0.0:8080", "[::1"]
)
def test_other_names_may_not(host: str | None) -> None:
    refused = why_refused(host=host, origin=None)
    assert refused is not None
    assert "underpaint keys add" in refused


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        "http://localhost.evil.example",
        "http://[",
        "file://",
        "https://10.0.0.1",
    ],
)
def test_pages_of_other_sites_may_not(origin: str) -> None:
    assert why_refused(host=LOCAL, origin=origin) is not None


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "Via"])
async def test_what_a_proxy_hands_on_is_refused_without_keys(
    inside: Running, http: httpx.AsyncClient, header: str
) -> None:
    reply = await http.post("/v1", json=[image_task("a")], headers={header: "203.0.113.7"})
    assert reply.status_code == 403
    assert "underpaint keys add" in reply.json()["errors"][0]["message"]
    assert inside.studio.callers == []


async def test_what_a_proxy_hands_on_is_answered_with_a_key(start: Any) -> None:
    server: Running = await start(public_url="https://paint.example")
    headers = {"X-Forwarded-For": "203.0.113.7", "Host": "paint.example"}
    async with httpx.AsyncClient(base_url=server.url) as http:
        # A public name is a reason to ask for keys, also before there is one.
        assert (await http.post("/v1", json=[image_task("a")])).status_code == 401
        headers["Authorization"] = f"Bearer {server.add_key()[1]}"
        assert (await http.post("/v1", json=[image_task("a")], headers=headers)).status_code == 200


FOREIGN = [{"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_a_foreign_page_cannot_post_without_keys(
    inside: Running, http: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    body = '[{"taskType":"imageInference","taskUUID":"a"}]'
    reply = await http.post("/", content=body, headers={"Content-Type": "text/plain", **headers})
    assert reply.status_code == 403
    assert reply.json()["errors"][0]["code"] == "insufficientPermissions"
    assert "access-control-allow-origin" not in reply.headers
    assert inside.studio.callers == []


@pytest.mark.parametrize("headers", [FOREIGN[0], FOREIGN[2]])
async def test_a_foreign_page_cannot_open_a_socket_without_keys(
    server: Running, headers: dict[str, str]
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with server.socket(additional_headers=headers):
            pass
    assert refused.value.response.status_code == 403


async def test_a_rebound_name_reads_nothing(http: httpx.AsyncClient) -> None:
    for path in ("/", "/metrics", "/images/x.jpg"):
        assert (await http.get(path, headers={"Host": "evil.example"})).status_code == 403


async def test_a_page_of_this_machine_may_use_post(http: httpx.AsyncClient) -> None:
    origin = {"Origin": "http://localhost:3000"}
    preflight = await http.options("/v1", headers={**origin, "Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    reply = await http.post("/v1", json=[image_task("a")], headers=origin)
    assert reply.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "Origin" in reply.headers["vary"]


async def test_a_page_of_this_machine_may_use_the_socket(server: Running) -> None:
    async with server.socket(additional_headers={"Origin": "http://localhost:3000"}) as socket:
        assert await ask(socket, {"taskType": "ping", "ping": True})


async def test_with_keys_any_page_that_knows_one_may(start: Any) -> None:
    server: Running = await start()
    _, key = server.add_key()
    headers = {"Origin": "https://app.example", "Host": "api.example"}
    async with httpx.AsyncClient(base_url=server.url) as http:
        refused = await http.post("/", json=[image_task("a")], headers=headers)
        assert refused.status_code == 401
        # The page must be able to read why.
        assert refused.headers["access-control-allow-origin"] == "https://app.example"
        accepted = await http.post(
            "/", json=[image_task("a")], headers={**headers, "Authorization": f"Bearer {key}"}
        )
        assert accepted.status_code == 200
    async with server.socket(additional_headers={"Origin": "https://app.example"}) as socket:
        assert "data" in await ask(socket, {"taskType": "authentication", "apiKey": key})
