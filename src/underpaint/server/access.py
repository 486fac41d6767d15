"""Who may use the server.

As long as no key was ever made and the server listens on a loopback address, only programs of this machine
can reach it, and any key is accepted: code written for the hosted API runs without preparation. As soon as
there is a key, or when the address is not a loopback one, a valid key is required; and so it is where
`public_url` says that a proxy hands on what others send. A server that others reach and that has no key
therefore starts, and refuses everybody until a key is made: that opens nothing, and a container does not crash
in a loop while its owner runs `underpaint keys add` beside it.
"""

import asyncio
import ipaddress
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from urllib.parse import urlsplit

from underpaint.permissions import ALL_SCOPES, Limits, Scope
from underpaint.server.keys import LAST_USED_INTERVAL_S, KeyRing, KeySnapshot
from underpaint.studio.caller import Caller
from underpaint.wire import TaskError

KEYLESS_OWNER = ""
SNAPSHOT_AGE_S = 1.0
"""What another process does to the keys takes effect within this time."""
SNAPSHOT_STALE_S = 60.0
"""How long the keys count as they were last read, while they cannot be read."""

log = logging.getLogger(__name__)


# Every request of a keyless server has the same name or two. Few are kept: whoever sends one chooses its length.
@lru_cache(maxsize=32)
def is_loopback(host: str) -> bool:
    """Whether a host name or address, without port, can only mean this machine."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_local(host: str, public_url: str | None) -> bool:
    """Whether only this machine can reach a server that listens on `host`, as far as the setting `public_url` says."""
    return is_loopback(host) and (public_url is None or is_loopback(urlsplit(public_url).hostname or ""))


class Access:
    """The policy of one running server.

    Args:
        keys: the keys.
        host: the address that the server listens on.
        public_url: the setting.
        limits: of keys that have none of their own, and of everybody together where any key is accepted.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        keys: KeyRing,
        host: str,
        *,
        public_url: str | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits or Limits()
        self._keys = keys
        self._local = is_local(host, public_url)
        self._clock = clock
        self._snapshot: KeySnapshot | None = None
        self._read_s = 0.0
        self._tried_s = 0.0
        self._marked_s: dict[str, float] = {}
        self._keyless_logged = False
        # A thread of its own: nobody waits for a database behind the decoding of pictures in the shared pool.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="keys")

    async def keyless(self) -> bool:
        """Whether any key is accepted at the moment. Raises `TaskError`."""
        return self._local and self._accepts_any(await self._recent())

    @property
    def was_keyless(self) -> bool:
        """Whether any key was accepted when the keys were last read."""
        return self._local and (self._snapshot is None or self._accepts_any(self._snapshot))

    async def owner_of(self, key: str | None) -> str:
        """Who sends this key: its identifier, or "" where any key is accepted.

        Raises:
            TaskError: `missingApiKey`, or `invalidApiKey` with a message that says what to do; `serviceUnavailable`
                while the keys cannot be read.
        """
        snapshot = await self._recent()
        if self._accepts_any(snapshot):
            if not self._keyless_logged:
                self._keyless_logged = True
                log.warning("no key is configured: any key is accepted, from this machine only")
            return KEYLESS_OWNER
        if not key:
            raise TaskError(
                "missingApiKey", f"An API key is required. {self._advice(snapshot)}", parameter="apiKey"
            )
        owner = snapshot.owner_of(key)
        if owner is None:
            # The key may be younger than the snapshot: whoever has just made one expects it to work.
            snapshot = await self._read()
            owner = snapshot.owner_of(key)
        if owner is None:
            raise TaskError("invalidApiKey", f"Invalid API key. {self._advice(snapshot)}", parameter="apiKey")
        self._mark_used(owner)
        return owner

    async def caller(self, owner: str, base_url: str) -> Caller:
        """Whoever has authenticated as `owner`, with what it may do. A key that has just ended may do nothing.
        Raises `TaskError`.
        """
        permissions = (await self._recent()).permissions.get(owner)
        if permissions is None:
            scopes = ALL_SCOPES if owner == KEYLESS_OWNER else frozenset[Scope]()
            return Caller(owner=owner, base_url=base_url, scopes=scopes, limits=self._limits)
        own = permissions.limits
        return Caller(
            owner=owner,
            base_url=base_url,
            scopes=permissions.scopes,
            limits=Limits(
                requests_per_s=own.requests_per_s or self._limits.requests_per_s,
                queued_tasks=own.queued_tasks or self._limits.queued_tasks,
                queued_pixels=own.queued_pixels or self._limits.queued_pixels,
            ),
        )

    async def is_valid(self, owner: str) -> bool:
        """Whether a connection that authenticated earlier may go on. Raises `TaskError`."""
        snapshot = await self._recent()
        if owner == KEYLESS_OWNER:
            return self._accepts_any(snapshot)
        return snapshot.is_valid(owner)

    async def log_policy(self) -> None:
        """Say once, at the start, when the server will refuse everybody."""
        snapshot = await self._recent()
        if not self._local and not snapshot.configured:
            log.warning(
                "the server can be reached from other machines and has no key yet: every request is refused "
                "until one is made with `underpaint keys add NAME`"
            )

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=True)

    def _accepts_any(self, snapshot: KeySnapshot) -> bool:
        return self._local and not snapshot.configured

    def _advice(self, snapshot: KeySnapshot) -> str:
        if not snapshot.configured:
            return "This server has no key yet: make one with `underpaint keys add NAME`."
        return "Make one with `underpaint keys add NAME`, and send it as `Authorization: Bearer KEY`."

    async def _recent(self) -> KeySnapshot:
        now_s = self._clock()
        last = self._snapshot if now_s - self._read_s < SNAPSHOT_STALE_S else None
        # One request reads them; those that come meanwhile do not wait for it.
        if last is not None and now_s - self._tried_s < SNAPSHOT_AGE_S:
            return last
        try:
            return await self._read()
        except TaskError:
            if last is None:
                raise
            return last

    async def _read(self) -> KeySnapshot:
        read_s = self._tried_s = self._clock()
        try:
            snapshot = await asyncio.get_running_loop().run_in_executor(self._thread, self._keys.snapshot)
        except Exception as failure:
            log.warning("the keys cannot be read: %s", failure)
            raise TaskError(
                "serviceUnavailable", "The server cannot read its keys at the moment; try again later."
            ) from failure
        self._snapshot, self._read_s = snapshot, read_s
        return snapshot

    def _mark_used(self, owner: str) -> None:
        now_s = self._clock()
        if now_s - self._marked_s.get(owner, float("-inf")) < LAST_USED_INTERVAL_S:
            return
        self._marked_s[owner] = now_s
        self._thread.submit(self._write_use, owner)

    def _write_use(self, owner: str) -> None:
        try:
            self._keys.mark_used(owner)
        except Exception:
            log.exception("could not note the use of key %s", owner)
