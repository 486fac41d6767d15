"""What says how a picture is sampled: prompts, schedulers, and passes as one request."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from underpaint.wire.fields import OptionalInteger, WireModel
from underpaint.wire.schedulers import SCHEDULER_NAMES, canonical_scheduler_name

BLANK_PROMPT = "__BLANK__"
"""What a client sends as a prompt to say that no text guides the picture."""

MAX_PASSES = 20
"""Passes that one task may have."""


def _without_surrounding_space(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _without_blank_marker(value: str | None) -> str | None:
    return "" if value == BLANK_PROMPT else value


def _scheduler_name(value: str | None) -> str | None:
    if value is None or value in SCHEDULER_NAMES:
        return value
    canonical = canonical_scheduler_name(value)
    raise PydanticCustomError(
        "scheduler_name",
        "{reason}",
        {
            "reason": "must be one of the scheduler names of the API, spelled exactly",
            "hint": f" Did you mean '{canonical}'?" if canonical else "",
            "allowed_values": list(SCHEDULER_NAMES),
        },
    )


Prompt = Annotated[str, BeforeValidator(_without_surrounding_space), AfterValidator(_without_blank_marker)]
OptionalPrompt = Annotated[
    str | None, BeforeValidator(_without_surrounding_space), AfterValidator(_without_blank_marker)
]
OptionalScheduler = Annotated[str | None, AfterValidator(_scheduler_name)]
"""A name of `SCHEDULER_NAMES`; None for the default."""


class Pass(WireModel):
    """One of several passes; what it leaves out is the task's own.

    Attributes:
        strength: how much of what the pass before made is given up, 0 to 1.
        positive_prompt, negative_prompt: what guides the pass, and what it leads away from.
        steps: of a full run, 1 to 100; the share that `strength` says is run.
        cfg_scale: guidance scale, 0 to 50.
        scheduler: sampling algorithm.
    """

    strength: float | None = Field(
        default=None, ge=0, le=1, description="how much of what the pass before made is given up"
    )
    positive_prompt: OptionalPrompt = Field(
        default=None, min_length=1, max_length=3000, description="what guides the pass"
    )
    negative_prompt: OptionalPrompt = Field(
        default=None, max_length=3000, description="what the pass leads away from"
    )
    steps: OptionalInteger = Field(
        default=None, ge=1, le=100, description="denoising steps of a full run; the share `strength` is run"
    )
    cfg_scale: float | None = Field(
        default=None, ge=0, le=50, description="guidance scale, 0 and 1 turn it off"
    )
    scheduler: OptionalScheduler = Field(
        default=None, description="sampling algorithm", json_schema_extra={"enum": list(SCHEDULER_NAMES)}
    )
