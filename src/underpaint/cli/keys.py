"""`underpaint keys`."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from underpaint.cli.console import UsageError, errors, output, print_rows
from underpaint.cli.options import with_settings
from underpaint.settings import EffectiveSettings

if TYPE_CHECKING:
    from underpaint.server.keys import KeyRecord, KeyRing

keys = App(name="keys", help="Make, list and revoke the API keys of the server.")


@keys.command
@with_settings("data_dir")
def add(name: str, /, *, effective: EffectiveSettings) -> None:
    """Make a key and print it. It is stored hashed, so it cannot be shown again.

    A running server accepts it at once.

    Args:
        name: What the key is for.
    """
    ring = _key_ring(effective)
    try:
        key_id, key = ring.add(name)
    except ValueError as failure:
        raise UsageError(str(failure)) from None
    errors.print(f"key {key_id}; keep it now, it is not shown again:", markup=False)
    output.out(key, highlight=False)


@keys.command(name="list")
@with_settings("data_dir")
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
            _state(each),
        )
        for each in records
    ]
    print_rows(("key", "name", "created (UTC)", "last used (UTC)", "state"), rows)


@keys.command
@with_settings("data_dir")
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

    return KeyRing(open_database(effective.settings.data_dir))


def _state(record: "KeyRecord") -> str:
    return "valid" if record.revoked_s is None else f"revoked {_time(record.revoked_s)}"


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(" ", "seconds")[:19]
