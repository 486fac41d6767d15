"""`underpaint config`."""

import json
import re
from collections.abc import Mapping
from typing import Annotated

from cyclopts import App, Parameter

from underpaint.cli.console import output, print_rows
from underpaint.cli.options import ALL_SETTINGS, with_settings
from underpaint.settings import EffectiveSettings

config = App(name="config", help="See the settings in effect.")


@config.command
@with_settings(*ALL_SETTINGS)
def show(
    *, as_json: Annotated[bool, Parameter("--json", negative=())] = False, effective: EffectiveSettings
) -> None:
    """Print every setting, its value, and where the value came from.

    Options given here count as the command line, so that `underpaint config show` with the options of a planned
    `underpaint serve` says what that would run with.

    Args:
        as_json: Print JSON: for each setting its value and origin.
    """
    values = effective.settings.model_dump(mode="json")
    if values["database_url"] is not None:
        values["database_url"] = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", values["database_url"])
    if as_json:
        document = {
            name: {"value": value, "origin": effective.origins[name]} for name, value in values.items()
        }
        output.out(json.dumps(document, indent=2), highlight=False)
        return
    rows = [(name, _shown(value), effective.origins[name]) for name, value in values.items()]
    print_rows(("setting", "value", "from"), rows)


def _shown(value: object) -> str:
    """A value as it would be written on the command line; "-" for none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        value = [f"{name}={target}" for name, target in value.items()]
    if isinstance(value, list | tuple):
        value = ",".join(map(str, value))
    return "-" if value in (None, "") else str(value)
