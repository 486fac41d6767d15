"""`underpaint doctor`."""

import json
from typing import Annotated

from cyclopts import Parameter

from underpaint.cli.console import errors, output
from underpaint.cli.options import ALL_SETTINGS, with_settings
from underpaint.settings import EffectiveSettings

_MARKS = {"ok": "[green]ok     [/]", "note": "[yellow]note   [/]", "problem": "[red]problem[/]"}


@with_settings(*ALL_SETTINGS)
def doctor(
    *, as_json: Annotated[bool, Parameter("--json", negative=())] = False, effective: EffectiveSettings
) -> int:
    """Check what Underpaint needs on this machine: torch, the device, memory, disk, database, model files.

    Nothing is downloaded, and nothing outside of this machine is contacted. The exit code is 1 when there is a problem.

    Args:
        as_json: Print JSON: a list of checks, each with name, state ("ok", "note" or "problem") and detail.
    """
    from underpaint.doctor import examine

    findings = []
    for finding in examine(effective.settings):
        findings.append(finding)
        if not as_json:
            output.print(f"{_MARKS[finding.state]}  {finding.name:<10}  ", end="")
            output.print(finding.detail, markup=False)
    problems = sum(finding.state == "problem" for finding in findings)
    if as_json:
        document = [{"name": each.name, "state": each.state, "detail": each.detail} for each in findings]
        output.out(json.dumps(document, indent=2), highlight=False)
    elif problems:
        errors.print(f"{problems} problem{'s' if problems > 1 else ''} found")
    return 1 if problems else 0
