"""One client for everything outgoing: it reaches only what it may, and nothing holds it up."""

import asyncio
import errno
import io
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from underpaint.images import Fetcher, FetchFailed, FetchPolicy, FetchRefused, fetch

Writer = asyncio.StreamWriter
PUBLIC = FetchPolicy()
LOCAL = FetchPolicy(allow_private=True, timeout_s=10)


@dataclass
class Origin:
    """A server on loopback that answers every request with whatever bytes it is told to."""

    port: int
    requests: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/picture.png"


@asynccontextmanager
async def origin(answer: bytes | Callable[[Writer], Awaitable[None]]) -> AsyncIterator[Origin]:
    async def serve(reader: asyncio.StreamReader, writer: Writer) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            here.requests.append(request)
            for line in request.lower().splitlines():
                if line.startswith("content-length:"):
                    here.bodies.append(await reader.readexactly(int(line.partition(":")[2])))
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            # The client hung up, as several of these tests want it to.
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    here = Origin(port=server.sockets[0].getsockname()[1])
    try:
        yield here
    finally:
        server.close()
        await server.wait_closed()


def ok(body: bytes, *headers: str) -> bytes:
    head = "\r\n".join(("HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers))
    return head.encode() + b"\r\n\r\n" + body


def redirect(location: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


class Names(AbstractResolver):
    """Answers each look-up with the next of its addresses; the last one stays."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        addresses = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        pass


async def refusal(url: str, policy: FetchPolicy = PUBLIC, resolver: AbstractResolver | None = None) -> str:
    async with Fetcher(policy, resolver=resolver) as fetcher:
        with pytest.raises(FetchRefused) as refused:
            await fetcher.fetch(url)
    return str(refused.value)


async def failure(url: str, policy: FetchPolicy = LOCAL) -> str:
    async with Fetcher(policy) as fetcher:
        with pytest.raises(FetchFailed) as failed:
            await fetcher.fetch(url)
    assert str(failed.value).endswith(".")
    return failed.value.kind


async def test_the_body_is_fetched() -> None:
    body = bytes(range(256)) * 1000
    async with origin(ok(body)) as server, Fetcher(LOCAL) as fetcher:
        assert await fetcher.fetch(server.url) == body
        assert server.requests[0].startswith("GET /picture.png HTTP/1.1\r\n")
        assert "accept-encoding: identity\r\n" in server.requests[0].lower()
        assert "connection: close\r\n" in server.requests[0].lower()


HOSTS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "0.0.0.0",
    "0",
    "%31%32%37.0.0.1",
    "１２７.0.0.1",
    "127。0。0。1",
    "localhost",
    "LOCALHOST",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[2002:7f00:1::]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2001:0:808:808:0:0:80ff:fffe]",
    "[2a00:1450:4001::5efe:7f00:1]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "168.63.129.16",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
]


@pytest.mark.parametrize("host", HOSTS)
async def test_no_form_of_an_internal_address_is_asked(host: str) -> None:
    async with origin(ok(b"secret")) as server:
        await refusal(f"http://{host}:{server.port}/")
        assert server.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_https_makes_no_difference(host: str) -> None:
    async with origin(ok(b"secret")) as server:
        assert "loopback" in await refusal(f"https://{host}:{server.port}/")
        assert server.requests == []


@pytest.mark.parametrize(
    "host", ["127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.0x1", "0"]
)
async def test_a_number_that_is_no_plain_address_is_refused_even_where_private_ones_are_allowed(
    host: str,
) -> None:
    async with origin(ok(b"secret")) as server:
        assert "not a plain IPv4 address" in await refusal(f"http://{host}:{server.port}/", LOCAL)
        assert server.requests == []


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://example.com/a.png", "Only http and https"),
        ("file:///etc/passwd", "Only http and https"),
        ("gopher://example.com/", "Only http and https"),
        ("//example.com/a.png", "Only http and https"),
        ("example.com/a.png", "Only http and https"),
        ("http://", "names no host"),
        ("http:///a.png", "names no host"),
        ("http://user:secret@example.com/", "user name or password"),
        ("http://user@example.com/", "user name or password"),
        ("http://example.com\\@127.0.0.1/", "backslashes"),
        ("http://example.com/a b", "spaces"),
        ("http://example.com/\r\nHost: internal", "control characters"),
        ("http://example.com:99999/", "not valid"),
        ("http://[::1/", "not valid"),
        ("http://0x7f.1/", "number but not a plain"),
    ],
)
async def test_urls_that_make_no_sense_are_refused(url: str, problem: str) -> None:
    assert problem in await refusal(url)


async def test_a_name_is_judged_by_every_address_it_has() -> None:
    async with origin(ok(b"secret")) as server:
        for answers in (
            ["127.0.0.1"],
            ["10.0.0.1", "127.0.0.1"],
            ["::1", "127.0.0.1"],
            ["fd00::1", "::ffff:7f00:1"],
        ):
            message = await refusal(f"http://images.example:{server.port}/", resolver=Names(answers))
            assert "images.example" in message
        assert server.requests == []


async def test_a_name_that_changes_its_address_is_judged_at_every_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 127.0.0.1 stands for a public address and 127.0.0.2 for an internal one; the origin would answer at both.
    monkeypatch.setattr(
        fetch, "refusal_reason", lambda ip, *, allow_private: None if str(ip) == "127.0.0.1" else "private"
    )
    async with origin(redirect("/again")) as server:
        names = Names(["127.0.0.1"], ["127.0.0.2"])
        message = await refusal(f"http://rebinding.example:{server.port}/", resolver=names)
        assert "may not be asked (private)" in message
        assert names.asked == 2
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "//169.254.169.254/",
        "http://0.0.0.0/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://user:secret@127.0.0.1/",
        "http://2130706433/",
    ],
)
async def test_a_redirect_leads_nowhere_that_a_url_may_not(location: str) -> None:
    async with origin(redirect(location)) as server:
        await refusal(server.url, LOCAL)
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed(status: int) -> None:
    async with (
        origin(ok(b"the picture")) as target,
        origin(redirect(target.url, status)) as server,
        Fetcher(LOCAL) as fetcher,
    ):
        assert await fetcher.fetch(server.url) == b"the picture"


async def test_redirects_are_counted() -> None:
    async with origin(redirect("/again")) as server:
        assert await failure(server.url, FetchPolicy(allow_private=True, max_redirects=3)) == "redirects"
        assert len(server.requests) == 4


async def test_a_redirect_to_nowhere_fails() -> None:
    async with origin(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n") as server:
        assert await failure(server.url) == "redirects"


async def test_a_cookie_is_not_carried_along() -> None:
    answer = redirect("/again").replace(b"Content-Length", b"Set-Cookie: session=1; Path=/\r\nContent-Length")
    async with origin(answer) as server, Fetcher(LOCAL, resolver=Names(["127.0.0.1"])) as fetcher:
        with pytest.raises(FetchFailed, match="redirects more than"):
            await fetcher.fetch(f"http://images.example:{server.port}/")
        assert len(server.requests) == 6
        assert not any("cookie" in request.lower() for request in server.requests)


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with origin(ok(b"from the proxy")) as proxy, origin(ok(b"the picture")) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        async with Fetcher(LOCAL) as fetcher:
            assert await fetcher.fetch(server.url) == b"the picture"
        assert proxy.requests == []


async def test_only_allowed_hosts_are_asked_where_there_is_a_list() -> None:
    policy = FetchPolicy(allow_private=True, allowed_hosts=("images.example", "*.cdn.example"))
    async with (
        origin(ok(b"the picture")) as server,
        Fetcher(policy, resolver=Names(["127.0.0.1"])) as fetcher,
    ):
        for host in (
            "images.example",
            "IMAGES.example",
            "images.example.",
            "a.cdn.example",
            "a.b.cdn.example",
        ):
            assert await fetcher.fetch(f"http://{host}:{server.port}/") == b"the picture"
        for host in (
            "evil.example",
            "cdn.example",
            "evilcdn.example",
            "images.example.evil.example",
            "127.0.0.1",
        ):
            with pytest.raises(FetchRefused, match="not one of those"):
                await fetcher.fetch(f"http://{host}:{server.port}/")
        assert len(server.requests) == 5


async def test_being_on_the_list_does_not_lift_the_check_of_the_address() -> None:
    policy = FetchPolicy(allowed_hosts=("images.example",))
    assert "loopback" in await refusal("http://images.example/", policy, Names(["127.0.0.1"]))


async def test_a_redirect_leaves_the_list_no_more_than_a_url() -> None:
    policy = FetchPolicy(allow_private=True, allowed_hosts=("127.0.0.1",))
    async with origin(redirect("http://localhost/")) as server:
        assert "not one of those" in await refusal(server.url, policy)


async def endless(writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        await writer.drain()


async def test_an_endless_body_is_cut_off() -> None:
    async with origin(endless) as server:
        policy = FetchPolicy(allow_private=True, max_bytes=1_000_000, timeout_s=30)
        assert await failure(server.url, policy) == "too_large"


async def test_a_body_announced_as_too_large_is_not_read() -> None:
    async with origin(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n") as server:
        assert await failure(server.url) == "too_large"


async def test_a_body_of_exactly_the_limit_is_accepted() -> None:
    async with origin(ok(bytes(1000))) as server:
        async with Fetcher(FetchPolicy(allow_private=True, max_bytes=1000)) as fetcher:
            assert len(await fetcher.fetch(server.url)) == 1000
        assert await failure(server.url, FetchPolicy(allow_private=True, max_bytes=999)) == "too_large"


async def test_a_body_shorter_than_announced_is_no_body() -> None:
    async with origin(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort") as server:
        assert await failure(server.url) == "protocol"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip"])
async def test_compressed_data_is_not_unpacked(encoding: str) -> None:
    async with origin(ok(b"\x1f\x8b" + bytes(100), f"Content-Encoding: {encoding}")) as server:
        assert await failure(server.url) == "protocol"


class FullDisk(io.BytesIO):
    """A file that takes a number of writes, and then fails."""

    def __init__(self, writes: int, failure: OSError) -> None:
        super().__init__()
        self._writes, self._failure = writes, failure

    def write(self, data: Any) -> int:
        if self._writes == 0:
            raise self._failure
        self._writes -= 1
        return super().write(data)


@pytest.mark.parametrize("writes", [0, 1, 2])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.ETIMEDOUT, errno.ECONNRESET])
async def test_what_cannot_be_written_is_no_failure_of_the_server(number: int, writes: int) -> None:
    file = FullDisk(writes, OSError(number, "the disk failed"))
    async with origin(ok(bytes(10 * 2**20))) as server, Fetcher(LOCAL) as fetcher:
        with pytest.raises(OSError, match="the disk failed") as failed:
            await fetcher.download(server.url, file)
    assert failed.value.errno == number
    assert len(file.getvalue()) < 10 * 2**20


async def test_a_download_asks_for_room_before_it_writes() -> None:
    size = 10 * 2**20
    asked: list[int] = []
    async with origin(ok(bytes(size))) as server, Fetcher(LOCAL) as fetcher:
        assert await fetcher.download(server.url, io.BytesIO(), room=asked.append) == size
    # All of it, then all that is left, as often as something is written.
    assert asked[:2] == [size, size]
    assert len(asked) > 3
    assert asked == sorted(asked, reverse=True)
    assert asked[-1] < size / 2


async def test_without_an_announced_length_it_asks_for_what_it_has() -> None:
    async def chunked(writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(2):
            writer.write(b"500000\r\n" + bytes(0x500000) + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    asked: list[int] = []
    async with origin(chunked) as server, Fetcher(LOCAL) as fetcher:
        size = await fetcher.download(server.url, io.BytesIO(), room=asked.append)
    assert (size, asked[0]) == (10 * 2**20, 0)
    assert sum(asked) == size


@pytest.mark.parametrize(
    "refusal", [ValueError("no room"), OSError("no disk"), FetchFailed("status", "none")]
)
async def test_where_there_is_no_room_nothing_is_written(refusal: Exception) -> None:
    def room(wanted_bytes: int) -> None:
        raise refusal

    file = io.BytesIO()
    async with origin(ok(b"a model")) as server, Fetcher(LOCAL) as fetcher:
        with pytest.raises(type(refusal)) as raised:
            await fetcher.download(server.url, file, room=room)
    assert raised.value is refusal
    assert file.getvalue() == b""


async def test_what_is_not_an_answer_asks_for_no_room() -> None:
    asked: list[int] = []
    async with (
        origin(b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found") as server,
        Fetcher(LOCAL) as fetcher,
    ):
        with pytest.raises(FetchFailed, match="404"):
            await fetcher.download(server.url, io.BytesIO(), room=asked.append)
    assert asked == []


async def drip(writer: Writer, head: bytes) -> None:
    writer.write(head)
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "head", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"]
)
async def test_a_slow_drip_does_not_outlast_the_limit(head: bytes) -> None:
    async with origin(lambda writer: drip(writer, head)) as server:
        loop = asyncio.get_running_loop()
        started = loop.time()
        kind = await failure(server.url, FetchPolicy(allow_private=True, timeout_s=0.4))
        # Without a status line the first drop already is no HTTP.
        assert kind == ("timeout" if head else "protocol")
        assert loop.time() - started < 5


async def test_silence_does_not_either() -> None:
    over = asyncio.Event()

    async def silent(writer: Writer) -> None:
        await over.wait()

    async with origin(silent) as server:
        assert await failure(server.url, FetchPolicy(allow_private=True, timeout_s=0.3)) == "timeout"
        over.set()


async def test_slow_redirects_share_one_limit() -> None:
    async def slowly(writer: Writer) -> None:
        await asyncio.sleep(0.15)
        writer.write(redirect("/again"))
        await writer.drain()

    async with origin(slowly) as server:
        policy = FetchPolicy(allow_private=True, timeout_s=0.4, max_redirects=100)
        assert await failure(server.url, policy) == "timeout"
        assert len(server.requests) < 5


@pytest.mark.parametrize("status", [201, 204, 206, 304, 403, 404, 500, 503])
async def test_only_status_200_is_an_answer(status: int) -> None:
    async with origin(f"HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n".encode()) as server:
        assert await failure(server.url) == "status"


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000]
)
async def test_what_is_no_http_fails(answer: bytes) -> None:
    async with origin(answer) as server:
        assert await failure(server.url) == "protocol"


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    async with origin(ok(b"")) as server:
        pass
    assert await failure(server.url) == "unreachable"


async def test_a_name_that_does_not_exist_is_unreachable() -> None:
    class NoNames(Names):
        async def resolve(self, *args: Any, **kwargs: Any) -> list[ResolveResult]:
            raise OSError("no such name")

    async with Fetcher(resolver=NoNames([])) as fetcher:
        with pytest.raises(FetchFailed, match=r"http://nowhere.example cannot be reached") as failed:
            await fetcher.fetch("http://nowhere.example/a.png?token=secret")
    assert failed.value.kind == "unreachable"


async def test_messages_do_not_repeat_what_may_be_secret() -> None:
    async with (
        origin(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as server,
        Fetcher(LOCAL) as fetcher,
    ):
        with pytest.raises(FetchFailed) as failed:
            await fetcher.fetch(f"{server.url}?signature=secret")
        assert "secret" not in str(failed.value)


async def test_sending_posts_the_body_and_returns_the_status() -> None:
    async with (
        origin(b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n") as server,
        Fetcher(LOCAL) as fetcher,
    ):
        body = bytes(2_000_000)
        status = await fetcher.send(
            server.url, method="PUT", body=body, headers={"Content-Type": "image/png"}
        )
        assert status == 503
        assert server.bodies == [body]
        assert server.requests[0].startswith("PUT ")
        assert "content-type: image/png\r\n" in server.requests[0].lower()


async def test_sending_is_guarded_like_fetching_and_follows_no_redirect() -> None:
    async with origin(redirect("http://127.0.0.1/")) as server:
        async with Fetcher(LOCAL) as fetcher:
            assert await fetcher.send(server.url, method="POST", body=b"{}") == 302
        async with Fetcher() as fetcher:
            with pytest.raises(FetchRefused, match="loopback"):
                await fetcher.send(server.url, method="POST", body=b"{}")
        assert len(server.requests) == 1


async def test_many_fetches_share_a_fetcher() -> None:
    async with origin(ok(b"the picture")) as server, Fetcher(LOCAL) as fetcher:
        assert (
            await asyncio.gather(*(fetcher.fetch(server.url) for _ in range(100))) == [b"the picture"] * 100
        )


async def test_a_fetcher_works_only_while_it_is_open() -> None:
    fetcher = Fetcher(LOCAL)
    with pytest.raises(RuntimeError, match="async with"):
        await fetcher.fetch("http://example.com/")
    async with fetcher:
        pass
    with pytest.raises(RuntimeError, match="async with"):
        await fetcher.fetch("http://example.com/")


def test_the_client_still_calls_the_socket_factory() -> None:
    # The whole guard hangs on this parameter of aiohttp; a version that drops it must not pass.
    assert "socket_factory" in aiohttp.TCPConnector.__init__.__annotations__
