"""Options that name a model, files and what else there is to say: MODEL=FILE,weight=0.8."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from underpaint.cli.console import UsageError

if TYPE_CHECKING:
    from underpaint import Control, Guide

_GUIDE = {
    "weight": "weight",
    "combineMethod": "combine_method",
    "embedScaling": "embed_scaling",
    "weightType": "weight_type",
    "weightComposition": "weight_composition",
}
_CONTROL = {"weight": "weight", "start": "start", "end": "end", "mode": "mode"}
_NUMBERS = frozenset({"weight", "start", "end", "weight_composition"})


def guides(given: Sequence[str]) -> "list[Guide]":
    """What `--guide` says: MODEL=FILE, further files as photo=FILE, and members of the API's ipAdapters."""
    from underpaint import Guide

    read = [_read("--guide", each, _GUIDE, files="photo") for each in given]
    return [Guide(model=model, photos=files, **said) for model, files, said in read]


def controls(given: Sequence[str]) -> "list[Control]":
    """What `--control` says: MODEL=FILE, with a weight, start and end as shares of the steps, and a mode."""
    from underpaint import Control

    read = [_read("--control", each, _CONTROL) for each in given]
    return [Control(model=model, photo=files[0], **said) for model, files, said in read]


def _read(
    option: str, text: str, names: Mapping[str, str], *, files: str | None = None
) -> tuple[str, list[str], dict[str, Any]]:
    """The model, the files, and the rest by the library's names."""
    model, _, rest = text.partition("=")
    said: dict[str, Any] = {}
    further: list[str] = []
    # From the end, so that a file's name may have commas.
    while True:
        before, comma, last = rest.rpartition(",")
        name, equals, value = last.partition("=")
        if not comma or not equals or (name not in names and name != files):
            break
        if name == files:
            further.insert(0, value)
        else:
            said[names[name]] = _number(option, name, value) if names[name] in _NUMBERS else value
        rest = before
    if not model or not rest:
        shown = ", ".join(f"{name}=..." for name in names)
        raise UsageError(
            f"{option}: {text!r} does not look like MODEL=FILE, after which there may be {shown}"
        )
    return model, [rest, *further], said


def _number(option: str, name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise UsageError(f"{option}: {name}={value} is no number, such as {name}=0.8") from None
