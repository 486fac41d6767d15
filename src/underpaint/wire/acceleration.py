"""Steps that take shortcuts: `acceleration` and `acceleratorOptions`."""

from typing import Literal

from pydantic import Field

from underpaint.wire.errors import TaskError
from underpaint.wire.fields import Integer, WireModel
from underpaint.wire.parameters import says_nothing
from underpaint.wire.violations import fold_object

Acceleration = Literal["none", "low", "medium", "high"]
PRESETS: dict[Acceleration, int] = {"low": 2, "medium": 3, "high": 5}
"""Steps of `deepCacheInterval` by the value of `acceleration`."""
OTHER_CACHES = ("teaCache", "fbCache", "fbcache", "dbCache")
"""Members that switch on caches of other kinds of models."""
TUNING_OF_OTHERS = (
    "teaCacheDistance",
    "cacheDistance",
    "fbCacheThreshold",
    "dbCacheThreshold",
    "dbCacheSkipInterval",
    "cacheMaxConsecutiveSteps",
    "deepCacheSkipMode",
)
"""Members without effect here."""
WINDOW = (
    "cacheStartStep",
    "cacheStartStepPercentage",
    "cacheEndStep",
    "cacheEndStepPercentage",
    "cacheStopStep",
)
"""Members that say in which steps a cache is used."""


class AcceleratorOptions(WireModel):
    """Shortcuts of a picture's steps.

    Attributes:
        deep_cache: whether most steps take the UNet's deep layers from an earlier one (DeepCache).
        deep_cache_interval: one step in so many runs the whole UNet.
        deep_cache_branch_id: from which skip connection on layers count as deep, 0 for the outermost.
    """

    deep_cache: bool = Field(
        default=False, description="whether most steps take the UNet's deep layers from an earlier step"
    )
    deep_cache_interval: Integer = Field(
        default=3, ge=1, le=100, description="one step in so many runs the whole UNet"
    )
    deep_cache_branch_id: Integer = Field(
        default=0, ge=0, le=100, description="from which skip connection on layers are deep; 0 the outermost"
    )


def fold_acceleration(parameters: dict[str, object]) -> None:
    """Read `acceleration` and `acceleratorOptions` into one: what the options say outweighs the preset.

    A preset that switches nothing on, or whose cache the options decide about, is dropped: what is left of it says by
    which name the cache was asked for.

    Raises:
        TaskError: a cache is switched on that this server does not have.
    """
    preset = parameters.get("acceleration")
    interval = PRESETS.get(preset) if isinstance(preset, str) else None  # type: ignore[call-overload]
    given = parameters.get("acceleratorOptions")
    if given is None or given == []:
        given = parameters["acceleratorOptions"] = {}
    if isinstance(given, dict):
        of_preset = {} if interval is None else {"deepCache": True, "deepCacheInterval": interval}
        parameters["acceleratorOptions"] = {**of_preset, **_without_others(given)}
        if interval is not None and given.get("deepCache") is not None:
            del parameters["acceleration"]
    fold_object(parameters, "acceleratorOptions", AcceleratorOptions)
    options = parameters.get("acceleratorOptions")
    if isinstance(options, dict) and says_nothing(options.get("deepCache")):
        # Members that tune a cache which is off mean nothing.
        del parameters["acceleratorOptions"]


def _without_others(given: dict[str, object]) -> dict[str, object]:
    """The members that mean something here."""
    for name in OTHER_CACHES:
        if not says_nothing(given.get(name)):
            raise TaskError(
                "unsupportedParameter",
                f"'acceleratorOptions.{name}' is not available: it is for transformers; deepCache is for UNets.",
                parameter=f"acceleratorOptions.{name}",
            )
    used = not says_nothing(given.get("deepCache"))
    for name in WINDOW:
        if used and not says_nothing(given.get(name)):
            raise TaskError(
                "unsupportedParameter",
                f"'acceleratorOptions.{name}' is not available: deepCache covers all steps.",
                parameter=f"acceleratorOptions.{name}",
            )
    tuning = {*OTHER_CACHES, *WINDOW, *TUNING_OF_OTHERS}
    return {name: value for name, value in given.items() if name not in tuning}
