"""Who sends a task, and what a task is answered with: the two values between server and studio."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from underpaint.permissions import ALL_SCOPES, NO_LIMITS, Limits, Scope

Item = Mapping[str, Any]
"""One element of a reply's `data` or `errors`, in wire form."""
OnPart = Callable[[Sequence[Item]], Awaitable[None]]
"""Takes items of a reply that there are before its end."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The sender of a task."""

    owner: str
    """Identifier of the API key, "" where no key is configured. Tasks of different owners do not see each other."""
    base_url: str
    """URL under which this caller reaches the server, without a trailing slash; links to results start with it."""
    scopes: frozenset[Scope] = ALL_SCOPES
    limits: Limits = NO_LIMITS


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What one task is answered with."""

    data: tuple[Item, ...] = ()
    errors: tuple[tuple[int, Item], ...] = ()
    """Each with the HTTP status that it has when nothing of the request succeeded."""
