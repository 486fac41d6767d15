"""ControlNets: maps of edges, depth or poses that say where in the picture things are."""

from typing import Literal

from pydantic import Field

from underpaint.wire.air import ModelIdentifier
from underpaint.wire.errors import TaskError, parameter_code
from underpaint.wire.fields import OptionalInteger, WireModel
from underpaint.wire.violations import fold_list

MAX_CONTROLNETS = 8
"""That one task may name."""

ControlMode = Literal["balanced", "prompt", "controlnet"]

MapKind = Literal[
    "canny",
    "depth",
    "depth_leres",
    "depth_midas",
    "depth_zoe",
    "inpaint_global_harmonious",
    "lineart",
    "lineart_anime",
    "lineart_coarse",
    "lineart_realistic",
    "lineart_standard",
    "mlsd",
    "normal_bae",
    "normalbae",
    "openpose",
    "openpose_face",
    "openpose_faceonly",
    "openpose_full",
    "openpose_hand",
    "scribble",
    "scribble_hed",
    "scribble_pidinet",
    "seg",
    "seg_ofade20k",
    "seg_ofcoco",
    "seg_ufade20k",
    "shuffle",
    "softedge",
    "softedge_hed",
    "softedge_hedsafe",
    "softedge_pidinet",
    "softedge_pidisafe",
    "tile",
    "tile_gaussian",
]
"""The preprocessors of the API, and those that its clients name beside a map."""


class ControlNet(WireModel):
    """A model that lays a picture out by a map, and that map.

    Attributes:
        model: AIR identifier, in its short form.
        guide_image: the map, as the model knows it, such as white edges on black: UUID, data URI, bare base64 or URL.
        weight: how strongly it acts, 0 to 1.
        start_step, start_step_percentage: from which step on it acts, counted from 1, where 0 says the same as 1; or
            after which share of the steps that run, 0 to 99.
        end_step, end_step_percentage: the last step in which it acts, after `start_step`; or up to which share of the
            steps, 1 to 100.
        control_mode: what counts for more, the prompt or the map.
        preprocessor, low_threshold_canny, high_threshold_canny, include_hands_and_face_open_pose: how the map was made,
            which some clients say beside it. Without effect: it is made.
    """

    model: ModelIdentifier = Field(description="AIR identifier")
    guide_image: str = Field(
        min_length=1, description="the map that the model follows: UUID, data URI, bare base64 or URL"
    )
    weight: float = Field(default=1.0, ge=0, le=1, description="how strongly it acts")
    start_step: OptionalInteger = Field(
        default=None, ge=0, le=100, description="first step in which it acts; default: the first"
    )
    start_step_percentage: OptionalInteger = Field(
        default=None, ge=0, le=99, description="share of the steps before it acts, in place of startStep"
    )
    end_step: OptionalInteger = Field(
        default=None, ge=1, le=100, description="last step in which it acts; default: the last"
    )
    end_step_percentage: OptionalInteger = Field(
        default=None, ge=1, le=100, description="share of the steps at which it ends, in place of endStep"
    )
    control_mode: ControlMode = Field(
        default="balanced", description="what counts for more: the prompt, the map, or neither"
    )
    preprocessor: MapKind | None = Field(
        default=None, description="how guideImage was made; without effect, for it is the map already"
    )
    low_threshold_canny: OptionalInteger = Field(
        default=None, ge=0, le=255, description="with which threshold guideImage was made; without effect"
    )
    high_threshold_canny: OptionalInteger = Field(default=None, ge=0, le=255, description="likewise")
    include_hands_and_face_open_pose: bool = Field(
        default=False, description="whether guideImage shows hands and faces; without effect"
    )

    def shares(self, steps: int, *, name: str) -> tuple[float, float]:
        """From which share of the steps to which it acts, 0 to 1.

        Args:
            steps: of the task.
            name: of this object within the task, for errors.

        Raises:
            TaskError: it begins or ends beyond the last step, or ends before it has begun.
        """
        for said, place in ((self.start_step, "startStep"), (self.end_step, "endStep")):
            if said is not None and said > steps:
                raise _invalid(
                    f"{name}.{place}", f"must be at most the number of steps, which is {steps}, not {said}"
                )
        start, start_name = 0.0, "startStep"
        if self.start_step:
            start = (self.start_step - 1) / steps
        elif self.start_step_percentage:
            start, start_name = self.start_step_percentage / 100, "startStepPercentage"
        end, end_name = 1.0, "endStep"
        if self.end_step is not None:
            end = self.end_step / steps
        elif self.end_step_percentage is not None:
            end, end_name = self.end_step_percentage / 100, "endStepPercentage"
        both = self.start_step is not None and self.end_step is not None
        if end <= start or (both and self.end_step == self.start_step):
            raise _invalid(f"{name}.{end_name}", f"must be greater than '{name}.{start_name}'")
        return start, end


def fold_controlnets(parameters: dict[str, object]) -> None:
    """Prepare `controlNet` for its model.

    Raises:
        TaskError: one of them has a member that does not exist, or is told its beginning or end twice.
    """
    fold_list(parameters, "controlNet", ControlNet)
    given = parameters.get("controlNet")
    if not isinstance(given, tuple):
        return
    parameters["controlNet"] = tuple(
        _told_once(_without_blank(each), f"controlNet[{index}]") if isinstance(each, dict) else each
        for index, each in enumerate(given)
    )


def _without_blank(controlnet: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in controlnet.items() if (key, value) != ("preprocessor", "")}


def _told_once(controlnet: dict[str, object], name: str) -> dict[str, object]:
    for step in ("startStep", "endStep"):
        share = f"{step}Percentage"
        if step not in controlnet or share not in controlnet:
            continue
        if controlnet[step] and controlnet[share]:
            raise TaskError(
                "incompatibleParameters",
                f"'{name}.{step}' and '{name}.{share}' say the same in two ways; give one of them.",
                parameter=[f"{name}.{step}", f"{name}.{share}"],
            )
        # A client lets a zero beside the other one pass.
        silent = share if controlnet[step] else step
        controlnet = {key: value for key, value in controlnet.items() if key != silent}
    return controlnet


def _invalid(name: str, reason: str) -> TaskError:
    return TaskError(parameter_code("invalid", name), f"'{name}' {reason}.", parameter=name, type="integer")
