"""Options that are made from the table of settings."""

import functools
import inspect
from collections.abc import Callable
from types import UnionType
from typing import Annotated, Any, ParamSpec, TypeVar

from cyclopts import Group, Parameter

from underpaint.settings import Settings, load_settings

P = ParamSpec("P")
R = TypeVar("R")

SETTINGS_GROUP = Group(
    "Settings",
    help="Each can also be an environment variable (--data-dir is UNDERPAINT_DATA_DIR) or stand in underpaint.toml.",
    sort_key=1,
)

ALL_SETTINGS = tuple(Settings.model_fields)
_METAVARS = {"alias": "AIR=AIR", "fetch_allowed_hosts": "HOST", "preprocessor_networks": "NAME=FOLDER"}
"""Of options that can be given several times."""


def with_settings(*names: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Give a command one option for each named setting.

    The command has a keyword-only parameter `effective`. The decorated one has the options in its place and
    calls the command with the `EffectiveSettings` that come of command line, environment, file and defaults.
    """

    def decorate(command: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(command)
        def decorated(*args: Any, **kwargs: Any) -> R:
            given = {name: kwargs.pop(name, None) for name in names}
            return command(*args, effective=load_settings(given), **kwargs)

        own = [each for each in inspect.signature(command).parameters.values() if each.name != "effective"]
        options = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(name)
            )
            for name in names
        ]
        decorated.__signature__ = inspect.signature(command).replace(parameters=[*own, *options])  # type: ignore[attr-defined]
        decorated.__annotations__ = {each.name: each.annotation for each in (*own, *options)}
        return decorated

    return decorate


def _annotation(name: str) -> object:
    """The type of a setting's option, with its description. Ranges are checked when all layers are merged."""
    field = Settings.model_fields[name]
    several = name in _METAVARS
    kind: Any = list[str] if several else field.annotation
    optional: UnionType = kind | None
    default = field.get_default(call_default_factory=True, validated_data={})
    return Annotated[
        optional,
        Parameter(
            help=field.description,
            group=SETTINGS_GROUP,
            negative=None if kind is bool else (),
            metavar=_METAVARS.get(name),
            show_default=(lambda _: str(default)) if default not in (None, {}, ()) else False,
        ),
    ]
