"""A name server on loopback, and a resolver that asks it: names whose answers the tests decide, look-up by look-up."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv6Address, ip_address
from typing import cast

from aiohttp.abc import AbstractResolver, ResolveResult

A, AAAA = 1, 28
Answers = Mapping[str, Sequence[str]]
"""For each name the address of each look-up in turn; the last one stays."""


class NameServer(asyncio.DatagramProtocol):
    """Answers A and AAAA questions (RFC 1035) with a lifetime of zero."""

    def __init__(self, answers: Answers) -> None:
        self._answers = {name: list(addresses) for name, addresses in answers.items()}
        self.asked: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        name, end = _read_name(data, 12)
        [kind] = struct.unpack_from(">H", data, end)
        addresses = self._answers[name]
        address = ip_address(addresses[0])
        record = b""
        if kind == (AAAA if isinstance(address, IPv6Address) else A):
            self.asked.append(name)
            if len(addresses) > 1:
                del addresses[0]
            record = b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(address.packed)) + address.packed
        head = data[:2] + struct.pack(">HHHHH", 0x8180, 1, 1 if record else 0, 0, 0)
        self._transport.sendto(head + data[12 : end + 4] + record, sender)


class Resolver(AbstractResolver):
    """Asks a name server over UDP, at every look-up anew."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        # IPv6 first: whichever question has an answer uses the look-up up.
        for kind, found in ((AAAA, socket.AF_INET6), (A, socket.AF_INET)):
            address = await self._ask(host, kind)
            if address is not None:
                return [
                    ResolveResult(
                        hostname=host,
                        host=address,
                        port=port,
                        family=found,
                        proto=0,
                        flags=socket.AI_NUMERICHOST,
                    )
                ]
        raise OSError(f"no address for {host}")

    async def close(self) -> None:
        pass

    async def _ask(self, host: str, kind: int) -> str | None:
        labels = b"".join(bytes([len(label)]) + label.encode() for label in host.split("."))
        question = (
            struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)
        )
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.setblocking(False)
            await loop.sock_connect(asking, ("127.0.0.1", self._port))
            await loop.sock_sendall(asking, question)
            async with asyncio.timeout(10):
                answer = await loop.sock_recv(asking, 512)
        [count] = struct.unpack_from(">H", answer, 6)
        if count == 0:
            return None
        at = len(question) + 12
        return str(ip_address(answer[at : at + (16 if kind == AAAA else 4)]))


@asynccontextmanager
async def name_server(answers: Answers) -> AsyncIterator[tuple[NameServer, Resolver]]:
    """A name server, and a resolver that asks it."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: NameServer(answers), local_addr=("127.0.0.1", 0)
    )
    try:
        yield server, Resolver(transport.get_extra_info("sockname")[1])
    finally:
        transport.close()


def _read_name(data: bytes, at: int) -> tuple[str, int]:
    labels = []
    while data[at]:
        labels.append(data[at + 1 : at + 1 + data[at]].decode())
        at += 1 + data[at]
    return ".".join(labels), at + 1
