"""The system's look-up of names, in threads of its own.

One whose name server is silent takes half a minute, and cannot be cancelled. aiohttp's own takes a thread that
everything else needs: a handful of such names would keep the whole server waiting.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult

AT_ONCE = 16


class NameLookUps(AbstractResolver):
    """As `aiohttp.ThreadedResolver`, with at most `AT_ONCE` under way. It leaves out addresses that are valid on one
    interface only, which nothing may be fetched from.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of a name. Raises `socket.gaierror`."""
        look_up = partial(
            socket.getaddrinfo,
            host,
            port,
            family=family,
            type=socket.SOCK_STREAM,
            flags=socket.AI_ADDRCONFIG,
        )
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=its_family,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for its_family, _, proto, _, address in found
            if not (its_family == socket.AF_INET6 and len(address) == 4 and address[3])
        ]

    async def close(self) -> None:
        """Wait for none of them."""
        self._threads.shutdown(wait=False, cancel_futures=True)
