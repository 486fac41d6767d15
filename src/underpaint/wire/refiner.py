"""The refiner: a second model for a picture's last steps."""

from pydantic import Field

from underpaint.wire.air import ModelIdentifier
from underpaint.wire.errors import TaskError
from underpaint.wire.fields import OptionalInteger, WireModel
from underpaint.wire.parameters import says_nothing
from underpaint.wire.violations import fold_object

USUAL_START_PERCENTAGE = 80
"""Where the refiner of SDXL begins in what its authors and diffusers recommend."""


class Refiner(WireModel):
    """A second model for a picture's last steps.

    Attributes:
        model: AIR identifier, in its short form.
        start_step: the first step that is the refiner's, counted from 1: 2 to the number of steps.
        start_step_percentage: the same as a share of the steps that the other model runs before, 1 to 99.
    """

    model: ModelIdentifier = Field(description="AIR identifier of the refiner")
    start_step: OptionalInteger = Field(
        default=None, ge=2, le=100, description="first step that is the refiner's"
    )
    start_step_percentage: OptionalInteger = Field(
        default=None,
        ge=1,
        le=99,
        description="share of the steps before the refiner's, in place of startStep; default: 80",
    )

    def steps_before(self, steps: int) -> int:
        """Steps of a schedule of `steps` that come before the refiner's, at least 1 and less than all.

        Raises:
            TaskError: there are too few steps for both models, or for the refiner to begin where it is to.
        """
        if steps < 2:
            raise TaskError(
                "incompatibleParameters",
                "'refiner' needs at least 2 steps: one for the model, one for the refiner.",
                parameter=["refiner", "steps"],
            )
        if self.start_step is not None:
            if self.start_step > steps:
                raise TaskError(
                    "invalidRefinerStartStep",
                    f"'refiner.startStep' must be an integer between 2 and the number of steps, which is {steps}, "
                    f"not {self.start_step}.",
                    parameter="refiner.startStep",
                    type="integer",
                )
            return self.start_step - 1
        share = self.start_step_percentage or USUAL_START_PERCENTAGE
        return min(steps - 1, max(1, (steps * share + 50) // 100))


def fold_refiner(parameters: dict[str, object]) -> None:
    """Prepare `refiner` for its model: it is left out where nothing is said in it.

    Raises:
        TaskError: it is told its start twice, has a member that does not exist, or comes with several passes.
    """
    if says_nothing(parameters.get("refiner")):
        parameters.pop("refiner", None)
    fold_object(parameters, "refiner", Refiner)
    refiner = parameters.get("refiner")
    if not isinstance(refiner, dict):
        return
    if {"startStep", "startStepPercentage"} <= set(refiner):
        names = ["refiner.startStep", "refiner.startStepPercentage"]
        raise TaskError(
            "incompatibleParameters",
            "'refiner.startStep' and 'refiner.startStepPercentage' say the same in two ways; give one of them.",
            parameter=names,
        )
    if parameters.get("passes"):
        raise TaskError(
            "incompatibleParameters",
            "'refiner' takes over within one pass; give it or 'passes'.",
            parameter=["refiner", "passes"],
        )
