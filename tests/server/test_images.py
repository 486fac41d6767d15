import httpx
import pytest

from .conftest import Running
from .fake_studio import IMAGE_UUID, JPEG

PATH = f"/images/{IMAGE_UUID}.jpg"


async def test_an_image_is_readable_without_a_key(inside: Running, http: httpx.AsyncClient) -> None:
    inside.add_key()
    reply = await http.get(PATH)
    assert reply.status_code == 200
    assert reply.content == JPEG
    assert reply.headers["content-type"] == "image/jpeg"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-disposition"] == f'inline; filename="{IMAGE_UUID}.jpg"'
    assert "immutable" in reply.headers["cache-control"]
    assert reply.headers["last-modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"


async def test_pages_of_any_site_may_show_it(http: httpx.AsyncClient) -> None:
    reply = await http.get(PATH, headers={"Origin": "https://app.example"})
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["cross-origin-resource-policy"] == "cross-origin"


async def test_head_says_the_length_and_sends_nothing(http: httpx.AsyncClient) -> None:
    reply = await http.head(PATH)
    assert reply.status_code == 200
    assert reply.headers["content-length"] == str(len(JPEG))
    assert reply.headers["content-type"] == "image/jpeg"
    assert reply.content == b""


@pytest.mark.parametrize(
    "condition",
    [
        {"If-None-Match": f'"{IMAGE_UUID}.jpg"'},
        {"If-None-Match": f'"other", W/"{IMAGE_UUID}.jpg"'},
        {"If-None-Match": "*"},
        {"If-Modified-Since": "Tue, 14 Nov 2023 22:13:20 GMT"},
    ],
)
async def test_who_has_it_already_gets_304(http: httpx.AsyncClient, condition: dict[str, str]) -> None:
    reply = await http.get(PATH, headers=condition)
    assert reply.status_code == 304
    assert reply.content == b""
    assert reply.headers["etag"] == f'"{IMAGE_UUID}.jpg"'


@pytest.mark.parametrize(
    "condition",
    [
        {"If-None-Match": '"other"'},
        {"If-None-Match": '"other"', "If-Modified-Since": "Tue, 14 Nov 2023 22:13:20 GMT"},
        {"If-Modified-Since": "Tue, 14 Nov 2023 22:13:19 GMT"},
        {"If-Modified-Since": "yesterday"},
    ],
)
async def test_who_has_another_version_gets_it(http: httpx.AsyncClient, condition: dict[str, str]) -> None:
    assert (await http.get(PATH, headers=condition)).status_code == 200


@pytest.mark.parametrize("name", [f"{IMAGE_UUID}.png", "11111111-1111-4111-8111-111111111111.jpg"])
async def test_an_image_that_is_not_there_is_a_404(http: httpx.AsyncClient, name: str) -> None:
    reply = await http.get(f"/images/{name}")
    assert reply.status_code == 404
    assert reply.json()["errors"][0]["code"] == "mediaNotFound"


@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e/keys",
        f"{IMAGE_UUID}",
        f"{IMAGE_UUID}.jpg%00",
        f"{IMAGE_UUID}.jpg%0a",
        f"{IMAGE_UUID.upper()}.jpg",
        f"x{IMAGE_UUID}.jpg",
        f"{IMAGE_UUID}.a/b",
    ],
)
async def test_no_other_name_reaches_the_store(inside: Running, http: httpx.AsyncClient, name: str) -> None:
    assert (await http.get(f"/images/{name}")).status_code == 404
    assert inside.studio.opened == []


async def test_a_link_that_does_not_hold_is_refused_in_words(http: httpx.AsyncClient) -> None:
    reply = await http.get(f"{PATH}?expires=17&signature=wrong")
    assert reply.status_code == 403
    assert reply.headers["access-control-allow-origin"] == "*"
    [error] = reply.json()["errors"]
    assert error["code"] == "insufficientPermissions"
    assert "17" in error["message"]
