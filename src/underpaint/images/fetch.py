"""The one client for every outgoing connection: images and models by URL, webhooks, upload endpoints.

A URL says nothing about where it leads: names resolve to anything, answers change between two look-ups,
redirects go elsewhere. So the address is judged where it can no longer change, at the creation of each
socket, from the very address the socket is then connected to. Checks on the URL only add clarity and the list
of allowed hosts.
"""

import asyncio
import io
import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, ip_address
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from underpaint.blocking import in_thread
from underpaint.images.addresses import refusal_reason
from underpaint.images.names import NameLookUps

FailureKind = Literal["unreachable", "timeout", "too_large", "status", "redirects", "protocol"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WRITE_BYTES = 4 * 2**20
_LEGACY_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.IGNORECASE)
_HEADERS = {
    "User-Agent": "underpaint",
    "Accept": "image/png, image/jpeg, image/webp, */*;q=0.5",
    # A compressed answer could be a bomb, and images do not compress.
    "Accept-Encoding": "identity",
}
# The refusals met while dialling for the current request; aiohttp merges the exceptions of several addresses.
_refusals: ContextVar[list[str] | None] = ContextVar("refusals", default=None)


@dataclass(frozen=True, kw_only=True)
class FetchPolicy:
    """Where outgoing connections may go, and what they may cost.

    `allow_private` lifts the refusal of loopback, private and carrier-grade NAT addresses. `allowed_hosts`,
    if not empty, are the only hosts asked, redirects included: a name for itself, `*.example.com` for
    everything below example.com; being on the list does not lift the check of the address. `timeout_s` is for
    the whole exchange, from the look-up of the name to the last byte, all redirects included.
    """

    allow_private: bool = False
    allowed_hosts: tuple[str, ...] = ()
    max_bytes: int = 32 * 1024 * 1024
    timeout_s: float = 20.0
    max_redirects: int = 5


class FetchRefused(ValueError):
    """The URL, or the address behind it, may not be asked. The message can be shown to the client."""


class FetchFailed(Exception):
    """The URL was asked and gave nothing usable. The message is fit for clients, `kind` for programs."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind: FailureKind = kind


class _NotWritten(Exception):
    """What is downloaded could not be written. No OSError: those, while a server answers, are the connection's."""

    def __init__(self, failure: OSError) -> None:
        super().__init__(str(failure))
        self.failure = failure


class _AddressRefused(OSError):
    """Raised while dialling; an OSError so that the next address of the same host is tried."""


class Fetcher:
    """Fetches and sends under one policy. To be entered with `async with`, once, and shared by all tasks.

    There are no cookies, no proxies or credentials from the environment, and no connection is kept for a
    second request. `resolver` replaces the system's look-up of names.
    """

    def __init__(
        self, policy: FetchPolicy | None = None, *, resolver: AbstractResolver | None = None
    ) -> None:
        self._policy = policy or FetchPolicy()
        self._resolver = resolver
        self._own_resolver: NameLookUps | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        if self._resolver is None:
            self._own_resolver = NameLookUps()
        connector = aiohttp.TCPConnector(
            resolver=self._resolver or self._own_resolver,
            use_dns_cache=False,
            force_close=True,
            limit=64,
            socket_factory=self._open_socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            trust_env=False,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        # The connector closes none that it was given.
        if self._own_resolver is not None:
            await self._own_resolver.close()

    async def fetch(self, url: str) -> bytes:
        """The body at `url`, at most `max_bytes` of it; redirects are followed, each checked as the URL was.

        Raises `FetchRefused` before anything is sent to a place that may not be asked, and `FetchFailed` for
        everything that goes wrong later.
        """
        body = bytearray()
        async with self._answer(url) as response:
            async for piece in self._pieces(response):
                body += piece
        return bytes(body)

    async def download(
        self, url: str, into: BinaryIO, *, room: Callable[[int], object] = lambda wanted_bytes: None
    ) -> int:
        """Write the body at `url` to an open file, and return its size in bytes.

        Never holds more than a few megabytes of it. What was written until a failure stays in the file.

        Args:
            url: as of `fetch`.
            into: the file.
            room: is called before anything is written and again before each write, from a thread, with how many bytes
                are still to come: as was announced, or else those that are here. What it raises ends the download.

        Raises:
            FetchRefused, FetchFailed: as of `fetch`.
            Exception: what `into` and `room` raised, as it is.
        """
        waiting, size, left = bytearray(), 0, 0

        async def write() -> None:
            nonlocal left
            data = bytes(waiting)
            waiting.clear()
            try:
                await in_thread(room, max(left, len(data)))
                await in_thread(into.write, data)
            except OSError as failure:
                raise _NotWritten(failure) from failure
            left -= len(data)

        try:
            async with self._answer(url) as response:
                left = response.content_length or 0
                await write()
                async for piece in self._pieces(response):
                    waiting += piece
                    size += len(piece)
                    if len(waiting) >= _WRITE_BYTES:
                        await write()
            await write()
        except _NotWritten as failed:
            raise failed.failure from None
        return size

    @asynccontextmanager
    async def _answer(self, url: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer at the end of the redirects from `url`, if it is fit to be read."""
        checked = self._check_url(url)
        async with self._time_limit(checked):
            for _ in range(self._policy.max_redirects + 1):
                async with self._request("GET", checked) as response:
                    if response.status not in _REDIRECTS:
                        self._require_fit(response)
                        yield response
                        return
                    checked = self._check_url(_redirect_target(response))
            raise FetchFailed(
                "redirects", f"{_named(url)} redirects more than {self._policy.max_redirects} times."
            )

    async def send(
        self,
        url: str,
        *,
        method: Literal["POST", "PUT"],
        body: bytes,
        headers: Mapping[str, str] | None = None,
    ) -> int:
        """Send `body` and return the answer's status. Its body is not read, redirects are not followed.

        Raises `FetchRefused` and `FetchFailed` as `fetch` does, except that no status is an error.
        """
        checked = self._check_url(url)
        async with (
            self._time_limit(checked),
            self._request(method, checked, data=io.BytesIO(body), headers=headers) as response,
        ):
            return response.status

    def check(self, url: str) -> None:
        """Say what can be said of a URL without asking: its form, its host's name, and its address where it names one.

        Raises:
            FetchRefused: `fetch` and `send` would refuse it as well.
        """
        try:
            address = ip_address(self._check_url(url).host or "")
        except FetchRefused:
            raise
        except ValueError:
            return
        reason = refusal_reason(address, allow_private=self._policy.allow_private)
        if reason is not None:
            raise FetchRefused(f"{_named(url)} is at an address that may not be asked ({reason}).")

    def _open_socket(self, address: tuple[Any, ...]) -> socket.socket:
        """Judge the address a connection is about to be made to, and only then make its socket."""
        family, kind, protocol, _, target = address
        reason = refusal_reason(ip_address(target[0]), allow_private=self._policy.allow_private)
        if reason is not None:
            refusals = _refusals.get()
            if refusals is not None:
                refusals.append(reason)
            raise _AddressRefused(f"address refused: {reason}")
        return socket.socket(family=family, type=kind, proto=protocol)

    def _check_url(self, text: str) -> URL:
        if "\\" in text or any(character <= " " or character == "\x7f" for character in text):
            raise FetchRefused("The URL has spaces, backslashes or control characters in it.")
        try:
            url = URL(text)
            host = (url.host or "").rstrip(".").lower()
            port = url.port
        except ValueError as error:
            raise FetchRefused("The URL is not valid.") from error
        if url.scheme not in ("http", "https"):
            raise FetchRefused("Only http and https URLs are fetched.")
        if not host or port is None:
            raise FetchRefused("The URL names no host.")
        if url.raw_user is not None or url.raw_password is not None or "@" in url.raw_authority:
            raise FetchRefused("The URL has a user name or password in it; such URLs are not fetched.")
        if _LEGACY_NUMBER.fullmatch(host.rpartition(".")[2]):
            try:
                IPv4Address(host)
            except AddressValueError as error:
                raise FetchRefused("The URL's host is a number but not a plain IPv4 address.") from error
        if self._policy.allowed_hosts and not any(
            host_matches(host, entry) for entry in self._policy.allowed_hosts
        ):
            raise FetchRefused(f"The host {host} is not one of those that may be asked.")
        return url.with_fragment(None)

    @asynccontextmanager
    async def _time_limit(self, url: URL) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._policy.timeout_s):
                yield
        except TimeoutError as error:
            raise FetchFailed(
                "timeout", f"{_named(url)} did not answer in full within {self._policy.timeout_s:g} seconds."
            ) from error

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        url: URL,
        *,
        data: io.BytesIO | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError("the fetcher is not open: use it inside `async with`")
        refusals: list[str] = []
        token = _refusals.set(refusals)
        try:
            async with self._session.request(
                method, url, allow_redirects=False, data=data, headers=headers
            ) as response:
                yield response
        except TimeoutError:
            raise
        except aiohttp.ClientConnectorError as error:
            if refusals:
                raise FetchRefused(
                    f"{_named(url)} is at an address that may not be asked ({refusals[0]})."
                ) from error
            raise FetchFailed("unreachable", f"{_named(url)} cannot be reached.") from error
        except aiohttp.InvalidURL as error:
            raise FetchRefused("The URL is not valid.") from error
        except aiohttp.ClientPayloadError as error:
            raise FetchFailed(
                "protocol", f"{_named(url)} broke off before its answer was complete."
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise FetchFailed(
                "protocol", f"{_named(url)} did not answer as an HTTP server should."
            ) from error
        finally:
            _refusals.reset(token)

    def _require_fit(self, response: aiohttp.ClientResponse) -> None:
        """Raise `FetchFailed` where the head of an answer says that its body is of no use."""
        if response.status != 200:
            raise FetchFailed("status", f"{_named(response.url)} answered with status {response.status}.")
        if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            raise FetchFailed(
                "protocol", f"{_named(response.url)} sent compressed data, which was not asked for."
            )
        if (response.content_length or 0) > self._policy.max_bytes:
            raise self._too_large(response)

    async def _pieces(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """The body of an answer, up to the limit of bytes."""
        size = 0
        async for piece in response.content.iter_any():
            # Whatever length was announced, this is what arrived.
            size += len(piece)
            if size > self._policy.max_bytes:
                raise self._too_large(response)
            yield piece

    def _too_large(self, response: aiohttp.ClientResponse) -> FetchFailed:
        limit = self._policy.max_bytes
        return FetchFailed("too_large", f"{_named(response.url)} sends more than the {limit} bytes accepted.")


def host_matches(host: str, entry: str) -> bool:
    """Whether a host is the one that an entry names; one that begins with `*.` names all below its domain."""
    entry = entry.lower().rstrip(".")
    return host.endswith(entry[1:]) if entry.startswith("*.") else host == entry


def _redirect_target(response: aiohttp.ClientResponse) -> str:
    location = response.headers.get("Location")
    if not location:
        raise FetchFailed("redirects", f"{_named(response.url)} redirects without saying where to.")
    try:
        return str(response.url.join(URL(location)))
    except ValueError as error:
        raise FetchFailed(
            "redirects", f"{_named(response.url)} redirects to something that is no URL."
        ) from error


def _named(url: URL | str) -> str:
    """The scheme and host for a message: paths and queries often hold secrets."""
    url = URL(url)
    return f"{url.scheme}://{url.raw_authority}"
