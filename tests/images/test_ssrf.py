"""Server-side request forgery: every kind of internal address, by every way that leads to it, is refused.

The address of the origin stands for a public one: it is let through, and whatever else is not public is judged as ever.
"""

import io
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from underpaint.images import Fetcher, FetchRefused, fetch, refusal_reason

from .name_server import name_server
from .test_fetch import ok, origin, redirect

# Address, and how it is called in the refusal.
INTERNAL = [
    ("127.0.0.2", "loopback"),
    ("127.255.255.254", "loopback"),
    ("::1", "loopback"),
    ("0.0.0.0", "unspecified"),
    ("::", "unspecified"),
    ("0.1.2.3", "reserved"),
    ("10.0.0.1", "private"),
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),
    ("192.168.0.1", "private"),
    ("fd00:ec2::254", "private"),
    ("fec0::1", "private"),
    ("100.64.0.1", "carrier-grade NAT"),
    ("100.127.255.255", "carrier-grade NAT"),
    ("169.254.169.254", "link-local"),
    ("fe80::1", "link-local"),
    ("168.63.129.16", "cloud platform service"),
    ("224.0.0.1", "multicast"),
    ("ff02::1", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "broadcast"),
    ("192.0.0.192", "reserved"),
    ("192.0.2.1", "documentation"),
    ("2001:db8::1", "documentation"),
    ("198.18.0.1", "benchmarking"),
    ("100::1", "reserved"),
    ("::ffff:127.0.0.2", "loopback, inside an IPv4-mapped address"),
    ("::ffff:169.254.169.254", "link-local, inside an IPv4-mapped address"),
    ("::127.0.0.2", "loopback, inside an IPv4-compatible address"),
    ("::ffff:0:127.0.0.2", "loopback, inside an IPv4-translated address"),
    ("2002:7f00:2::", "loopback, inside a 6to4 address"),
    ("2002:a9fe:a9fe::1", "link-local, inside a 6to4 address"),
    ("64:ff9b::7f00:2", "loopback, inside a NAT64 address"),
    ("64:ff9b::a9fe:a9fe", "link-local, inside a NAT64 address"),
    ("64:ff9b:1::7f00:2", "local NAT64 translation"),
    ("2001:0:808:808:0:0:80ff:fffd", "loopback, inside a Teredo address"),
    ("2001:0:7f00:2:0:0:f7f7:f7f7", "loopback, inside a Teredo address"),
    ("2a00:1450:4001::5efe:7f00:2", "loopback, inside an ISATAP address"),
    ("2a00:1450:4001::200:5efe:a00:1", "private, inside an ISATAP address"),
]


@pytest.fixture(autouse=True)
def origin_counts_as_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1, and nothing else."""

    def reason(ip: IPv4Address | IPv6Address, *, allow_private: bool) -> str | None:
        return None if str(ip) == "127.0.0.1" else refusal_reason(ip, allow_private=allow_private)

    monkeypatch.setattr(fetch, "refusal_reason", reason)


def in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(("address", "reason"), INTERNAL)
async def test_in_the_url(address: str, reason: str, scheme: str) -> None:
    async with Fetcher() as fetcher:
        with pytest.raises(FetchRefused) as refused:
            await fetcher.fetch(f"{scheme}://{in_url(address)}/")
    assert f"({reason})" in str(refused.value)


@pytest.mark.parametrize(("address", "reason"), INTERNAL)
async def test_in_the_url_of_what_is_sent(address: str, reason: str) -> None:
    url = f"http://{in_url(address)}/"

    async def send(fetcher: Fetcher) -> None:
        await fetcher.send(url, method="POST", body=b"{}")

    async def put(fetcher: Fetcher) -> None:
        await fetcher.send(url, method="PUT", body=b"picture")

    async def download(fetcher: Fetcher) -> None:
        await fetcher.download(url, io.BytesIO())

    async def check(fetcher: Fetcher) -> None:
        fetcher.check(url)

    ways: list[Callable[[Fetcher], Awaitable[None]]] = [send, put, download, check]
    for way in ways:
        async with Fetcher() as fetcher:
            with pytest.raises(FetchRefused) as refused:
                await way(fetcher)
        assert f"({reason})" in str(refused.value)


@pytest.mark.parametrize(("address", "reason"), INTERNAL)
async def test_behind_a_name(address: str, reason: str) -> None:
    async with name_server({"pictures.example": [address]}) as (names, resolver):
        async with Fetcher(resolver=resolver) as fetcher:
            with pytest.raises(FetchRefused) as refused:
                await fetcher.fetch("http://pictures.example/")
        assert names.asked == ["pictures.example"]
    assert f"({reason})" in str(refused.value)


@pytest.mark.parametrize(("address", "reason"), INTERNAL)
async def test_behind_a_name_that_is_bound_anew(address: str, reason: str) -> None:
    """The first look-up gives the public address, the second one the internal one: between the two requests of a
    redirect to the same name, and between a request that went well and the next.
    """
    async with (
        origin(redirect("/again")) as server,
        name_server({"pictures.example": ["127.0.0.1", address]}) as (names, resolver),
        Fetcher(resolver=resolver) as fetcher,
    ):
        with pytest.raises(FetchRefused) as refused:
            await fetcher.fetch(f"http://pictures.example:{server.port}/")
        assert (len(server.requests), len(names.asked)) == (1, 2)
        assert f"({reason})" in str(refused.value)
    async with (
        origin(ok(b"a picture")) as server,
        name_server({"pictures.example": ["127.0.0.1", address]}) as (names, resolver),
        Fetcher(resolver=resolver) as fetcher,
    ):
        assert await fetcher.fetch(f"http://pictures.example:{server.port}/") == b"a picture"
        with pytest.raises(FetchRefused):
            await fetcher.fetch(f"http://pictures.example:{server.port}/")
        assert len(server.requests) == 1


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize(("address", "reason"), INTERNAL)
async def test_at_the_end_of_a_chain_of_redirects(address: str, reason: str, by_name: bool) -> None:
    goal = "internal.example" if by_name else in_url(address)
    async with (
        origin(redirect(f"http://{goal}/secret")) as third,
        origin(redirect(third.url, 307)) as second,
        origin(redirect(second.url, 301)) as first,
        name_server({"internal.example": [address]}) as (_, resolver),
        Fetcher(resolver=resolver) as fetcher,
    ):
        with pytest.raises(FetchRefused) as refused:
            await fetcher.fetch(first.url)
        assert [len(hop.requests) for hop in (first, second, third)] == [1, 1, 1]
    assert f"({reason})" in str(refused.value)


def test_the_table_has_every_form() -> None:
    reasons = " ".join(reason for _, reason in INTERNAL)
    for form in (
        *("loopback", "private", "carrier-grade NAT", "link-local", "multicast", "reserved", "mapped"),
        *("compatible", "6to4", "NAT64", "Teredo", "ISATAP"),
    ):
        assert form in reasons, form
    assert len({ip_address(address) for address, _ in INTERNAL}) == len(INTERNAL)
