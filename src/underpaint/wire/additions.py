"""Models that a task names beside its own."""

from pydantic import Field

from underpaint.wire.air import ModelIdentifier
from underpaint.wire.fields import WireModel

MAX_ADDITIONS = 20
"""Models of one kind that one task may name."""


class WeightedModel(WireModel):
    """A model that acts upon the task's own.

    Attributes:
        model: AIR identifier, in its short form.
        weight: how strongly it acts, -4 to 4; None for the weight that the model is listed with, or 1.
    """

    model: ModelIdentifier = Field(description="AIR identifier")
    weight: float | None = Field(
        default=None, ge=-4, le=4, description="how strongly it acts; default: the model's own, or 1"
    )
