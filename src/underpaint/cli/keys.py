"""`underpaint keys`."""

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from underpaint.cli.console import UsageError, errors, output, print_rows
from underpaint.cli.options import with_settings
from underpaint.permissions import ALL_SCOPES, Limits, Permissions, Scope
from underpaint.settings import EffectiveSettings

if TYPE_CHECKING:
    from underpaint.server.keys import KeyRecord, KeyRing

keys = App(name="keys", help="Make, list and revoke the API keys of the server.")


@keys.command
@with_settings("data_dir", "database_url")
def add(
    name: str,
    /,
    *,
    scope: Annotated[list[Scope] | None, Parameter(negative=())] = None,
    expires_days: float | None = None,
    requests_per_s: float | None = None,
    queued_tasks: int | None = None,
    queued_pixels: int | None = None,
    effective: EffectiveSettings,
) -> None:
    """Make a key and print it. It is stored hashed, so it cannot be shown again.

    A running server accepts it at once.

    Args:
        name: What the key is for.
        scope: What it may do; given again for several. By default everything.
        expires_days: Days until it is refused. By default never.
        requests_per_s: Tasks that it may send in a second, in place of the setting key_requests_per_s.
        queued_tasks: Tasks that it may have unfinished at once, in place of the setting key_queued_tasks.
        queued_pixels: Pixels that it may have unfinished at once, in place of the setting key_queued_pixels.
    """
    permissions = Permissions(
        scopes=frozenset(scope) if scope else ALL_SCOPES,
        expires_s=None if expires_days is None else time.time() + expires_days * 86400,
        limits=Limits(requests_per_s=requests_per_s, queued_tasks=queued_tasks, queued_pixels=queued_pixels),
    )
    ring = _key_ring(effective)
    try:
        key_id, key = ring.add(name, permissions)
    except ValueError as failure:
        raise UsageError(str(failure)) from None
    errors.print(f"key {key_id}; keep it now, it is not shown again:", markup=False)
    output.out(key, highlight=False)


@keys.command(name="list")
@with_settings("data_dir", "database_url")
def list_keys(
    *, as_json: Annotated[bool, Parameter("--json", negative=())] = False, effective: EffectiveSettings
) -> None:
    """Print all keys ever made, the oldest first.

    Args:
        as_json: Print JSON; times are in UTC.
    """
    records = _key_ring(effective).list()
    if as_json:
        document = [
            {
                "key_id": each.key_id,
                "name": each.name,
                "created": _time(each.created_s),
                "last_used": _time(each.last_used_s),
                "revoked": _time(each.revoked_s),
                "expires": _time(each.permissions.expires_s),
                "scopes": sorted(each.permissions.scopes),
                "requests_per_s": each.permissions.limits.requests_per_s,
                "queued_tasks": each.permissions.limits.queued_tasks,
                "queued_pixels": each.permissions.limits.queued_pixels,
            }
            for each in records
        ]
        output.out(json.dumps(document, indent=2), highlight=False)
        return
    if not records:
        errors.print("no key was ever made")
        return
    rows = [
        (
            each.key_id,
            each.name,
            _time(each.created_s) or "",
            _time(each.last_used_s) or "never",
            _allowed(each),
            _state(each),
        )
        for each in records
    ]
    print_rows(("key", "name", "created (UTC)", "last used (UTC)", "may", "state"), rows)


@keys.command
@with_settings("data_dir", "database_url")
def revoke(key_id: str, /, *, effective: EffectiveSettings) -> None:
    """Make a key invalid for good. A running server refuses it within a second.

    Args:
        key_id: As `underpaint keys list` prints it; not the key itself.
    """
    _key_ring(effective).revoke(key_id)
    errors.print(f"key {key_id} is revoked", markup=False)


def _key_ring(effective: EffectiveSettings) -> "KeyRing":
    from underpaint.database import open_database
    from underpaint.server.keys import KeyRing

    return KeyRing(open_database(effective.settings.data_dir, effective.settings.database_url))


def _allowed(record: "KeyRecord") -> str:
    permissions, limits = record.permissions, record.permissions.limits
    parts = ["everything" if permissions.scopes == ALL_SCOPES else " ".join(sorted(permissions.scopes))]
    parts += [
        f"{value:g} {unit}"
        for value, unit in (
            (limits.requests_per_s, "requests/s"),
            (limits.queued_tasks, "tasks"),
            (limits.queued_pixels, "pixels"),
        )
        if value is not None
    ]
    return ", ".join(parts)


def _state(record: "KeyRecord") -> str:
    if record.revoked_s is not None:
        return f"revoked {_time(record.revoked_s)}"
    expires_s = record.permissions.expires_s
    if expires_s is None:
        return "valid"
    return f"{'valid until' if expires_s > time.time() else 'expired'} {_time(expires_s)}"


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(" ", "seconds")[:19]
