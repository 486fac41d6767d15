"""API keys, stored as hashes.

A key is 256 random bits. A slow hash (bcrypt, Argon2) protects what people make up, by making each guess
expensive; 2^256 random keys cannot be guessed at any speed, so one round of SHA-256 keeps them just as safe
at rest, and an authentication costs microseconds in place of a tenth of a second.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, Row, insert, or_, select, update

from underpaint.database import keys, rows
from underpaint.permissions import ALL_SCOPES, Limits, Permissions
from underpaint.transactions import begin, execute

KEY_PREFIX = "up_"
KEY_BYTES = 32
LAST_USED_INTERVAL_S = 60.0
"""`last_used_s` is this coarse, so that a busy key does not cost a write for every request."""
LONGEST_NAME = 100


class UnknownKeyError(LookupError):
    """No key has this identifier."""


@dataclass(frozen=True, kw_only=True)
class KeyRecord:
    """What is known of a key. The key itself is not."""

    key_id: str
    name: str
    created_s: float
    last_used_s: float | None
    revoked_s: float | None
    permissions: Permissions


@dataclass(frozen=True, kw_only=True)
class KeySnapshot:
    """The keys as they stood at one moment."""

    owners: Mapping[str, str] = field(repr=False)
    """Identifier of each key that is neither revoked nor expired, by the hash of the key."""
    permissions: Mapping[str, Permissions]
    """Of the same keys, by their identifiers."""
    configured: bool
    """Whether there was ever a key. Revoked ones count: revoking the last key must not open the server to
    all.
    """

    def owner_of(self, key: str) -> str | None:
        """The identifier of a valid key, None for anything else."""
        presented = hash_of(key)
        owner = None
        # Every hash is compared, each in constant time: the time taken says nothing about how near a guess
        # came.
        for stored, key_id in self.owners.items():
            if hmac.compare_digest(stored, presented):
                owner = key_id
        return owner

    def is_valid(self, owner: str) -> bool:
        """Whether the key with this identifier exists and is neither revoked nor expired."""
        return owner in self.permissions


def hash_of(key: str) -> str:
    """SHA-256 of a key, in hex."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class KeyRing:
    """The keys of one data folder. Several processes may use it at once: the command line beside a running
    server.
    """

    def __init__(self, database: Engine, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def add(self, name: str, permissions: Permissions | None = None) -> tuple[str, str]:
        """Make a key.

        Args:
            name: what the key is for, 1 to 100 characters; need not be unique.
            permissions: what it may do; by default everything, for ever, within the limits of the settings.

        Returns:
            Its identifier, and the key itself, which cannot be had again.

        Raises:
            ValueError: the name is empty or too long, it may do nothing, a limit is not positive, or it has expired.
        """
        name = name.strip()
        if not 0 < len(name) <= LONGEST_NAME:
            raise ValueError(f"a key needs a name of 1 to {LONGEST_NAME} characters")
        permissions = permissions or Permissions()
        limits = permissions.limits
        if not permissions.scopes:
            raise ValueError("a key without any scope may do nothing")
        for limit in (limits.requests_per_s, limits.queued_tasks, limits.queued_pixels):
            if limit is not None and not 0 < limit < float("inf"):
                raise ValueError("limits must be positive numbers")
        if permissions.expires_s is not None and not permissions.expires_s > self._clock():
            raise ValueError("the key would have expired already")
        scopes = None if permissions.scopes == ALL_SCOPES else ",".join(sorted(permissions.scopes))
        key_id = secrets.token_hex(6)
        key = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
        execute(
            self._database,
            insert(keys).values(
                key_id=key_id,
                name=name,
                hash=hash_of(key),
                created_s=self._clock(),
                scopes=scopes,
                expires_s=permissions.expires_s,
                requests_per_s=limits.requests_per_s,
                queued_tasks=limits.queued_tasks,
                queued_pixels=limits.queued_pixels,
            ),
        )
        return key_id, key

    def list(self) -> list[KeyRecord]:
        """All keys ever made, the oldest first."""
        found = rows(self._database, select(keys).order_by(keys.c.created_s, keys.c.key_id))
        return [
            KeyRecord(
                key_id=row.key_id,
                name=row.name,
                created_s=row.created_s,
                last_used_s=row.last_used_s,
                revoked_s=row.revoked_s,
                permissions=_permissions(row),
            )
            for row in found
        ]

    def revoke(self, key_id: str) -> None:
        """Make a key invalid for good. Revoking it again changes nothing.

        Raises:
            UnknownKeyError: there is no such key.
        """
        with begin(self._database) as connection:
            known = connection.execute(select(keys.c.key_id).where(keys.c.key_id == key_id)).first()
            if known is None:
                raise UnknownKeyError(f"there is no key {key_id!r}")
            connection.execute(
                update(keys)
                .where(keys.c.key_id == key_id, keys.c.revoked_s.is_(None))
                .values(revoked_s=self._clock())
            )

    def snapshot(self) -> KeySnapshot:
        """Read the keys, to authenticate against without the database."""
        found = rows(self._database, select(keys))
        now_s = self._clock()
        valid = [
            row for row in found if row.revoked_s is None and (row.expires_s is None or row.expires_s > now_s)
        ]
        return KeySnapshot(
            owners={row.hash: row.key_id for row in valid},
            permissions={row.key_id: _permissions(row) for row in valid},
            configured=bool(found),
        )

    def authenticate(self, key: str) -> str | None:
        """The identifier of a valid key, None for anything else. Marks the key as used."""
        owner = self.snapshot().owner_of(key)
        if owner is not None:
            self.mark_used(owner)
        return owner

    def mark_used(self, key_id: str) -> None:
        """Note that a key was used, unless that was noted within the last minute."""
        now_s = self._clock()
        used_before = or_(keys.c.last_used_s.is_(None), keys.c.last_used_s <= now_s - LAST_USED_INTERVAL_S)
        execute(
            self._database,
            update(keys).where(keys.c.key_id == key_id, used_before).values(last_used_s=now_s),
        )


def _permissions(row: Row[Any]) -> Permissions:
    named = ALL_SCOPES if row.scopes is None else set(row.scopes.split(","))
    return Permissions(
        # A scope of a later version means nothing here, and allows nothing.
        scopes=frozenset(scope for scope in ALL_SCOPES if scope in named),
        expires_s=row.expires_s,
        limits=Limits(
            requests_per_s=row.requests_per_s,
            queued_tasks=row.queued_tasks,
            queued_pixels=row.queued_pixels,
        ),
    )
