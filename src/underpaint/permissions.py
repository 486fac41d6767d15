"""What a key may do, and how much of the server it may take up."""

from dataclasses import dataclass
from typing import Literal, get_args

Scope = Literal["inference", "uploads", "search", "library", "operator"]
"""Making pictures, storing pictures, searching models, adding models, watching the server."""
ALL_SCOPES: frozenset[Scope] = frozenset(get_args(Scope))


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one caller may take up, None for as much as there is."""

    requests_per_s: float | None = None
    queued_tasks: int | None = None
    """Tasks that may be unfinished at once."""
    queued_pixels: int | None = None
    """Pixels of all the pictures that may be unfinished at once."""


NO_LIMITS = Limits()


@dataclass(frozen=True, kw_only=True)
class Permissions:
    """What belongs to one key."""

    scopes: frozenset[Scope] = ALL_SCOPES
    expires_s: float | None = None
    """Unix time from which on it is refused, None for never."""
    limits: Limits = NO_LIMITS
    """None in one of them leaves it to the settings."""
