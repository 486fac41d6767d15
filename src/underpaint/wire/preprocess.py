"""The task that makes the picture a ControlNet is guided by: edges, depth and the like."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from underpaint.wire.delivery import ONE_RESULT, PictureTask, fold_delivery
from underpaint.wire.errors import TaskError
from underpaint.wire.fields import Integer, OptionalInteger
from underpaint.wire.inputs import fold_input_image, with_input_image
from underpaint.wire.parameters import IGNORED_PARAMETERS

PreProcessorType = Literal[
    "canny",
    "depth",
    "mlsd",
    "normalbae",
    "openpose",
    "tile",
    "seg",
    "lineart",
    "lineart_anime",
    "shuffle",
    "scribble",
    "softedge",
]
MODEL_PREFIX = "runware:controlnet-preprocess@"
"""Of the models by which newer clients name the type."""


def _spelled(value: object) -> object:
    return value.strip().lower().replace("-", "_") if isinstance(value, str) else value


def _with_lenient_forms(schema: dict[str, Any]) -> None:
    with_input_image(schema)
    schema["properties"]["model"] = {
        "type": "string",
        "description": f"another way to name the type: {MODEL_PREFIX} and its name",
        "minLength": 1,
    }


class ControlNetPreprocessTask(PictureTask):
    """Makes the guide image of a ControlNet from a picture.

    Attributes:
        input_image: UUID, data URI, bare base64 or URL.
        pre_processor_type: what is made of it.
        width, height: of the result, in pixels. One alone keeps the proportions; no picture is enlarged.
        low_threshold_canny, high_threshold_canny: of the gradient, 0 to 255; only canny looks at them.
        include_hands_and_face_open_pose: whether a pose shows hands and face; no processor here finds them.
    """

    ignored: ClassVar[Mapping[str, str]] = IGNORED_PARAMETERS
    unsupported: ClassVar[Mapping[str, str]] = ONE_RESULT

    model_config = ConfigDict(json_schema_extra=_with_lenient_forms)

    task_type: Literal["controlNetPreprocess", "imageControlNetPreProcess"] = "controlNetPreprocess"
    input_image: str = Field(min_length=1, description="the picture: UUID, data URI, bare base64 or URL")
    pre_processor_type: Annotated[PreProcessorType, BeforeValidator(_spelled)] = Field(
        description="what is made of the picture"
    )
    width: OptionalInteger = Field(
        default=None, ge=16, le=2048, description="of the result in pixels; a picture is never enlarged"
    )
    height: OptionalInteger = Field(
        default=None,
        ge=16,
        le=2048,
        description="of the result in pixels; one of the two keeps the proportions",
    )
    low_threshold_canny: Integer = Field(
        default=100, ge=0, le=255, description="gradient from which on an edge goes on; for canny"
    )
    high_threshold_canny: Integer = Field(
        default=200, ge=0, le=255, description="gradient from which on there is an edge; for canny"
    )
    include_hands_and_face_open_pose: bool = Field(
        default=False,
        description="must be false with openpose, whose poses are of bodies; without effect elsewhere",
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        low, high = self.low_threshold_canny, self.high_threshold_canny
        if low >= high:
            raise TaskError(
                "incompatibleParameters",
                f"'lowThresholdCanny' must be less than 'highThresholdCanny', and {low} is not less than {high}.",
                parameter=["lowThresholdCanny", "highThresholdCanny"],
                type="integer",
            )
        if self.include_hands_and_face_open_pose and self.pre_processor_type == "openpose":
            raise TaskError(
                "unsupportedParameter",
                "'includeHandsAndFaceOpenPose' is not supported by this server: its poses are of bodies.",
                parameter="includeHandsAndFaceOpenPose",
            )
        return self

    @classmethod
    def fold(cls, parameters: dict[str, object]) -> dict[str, object]:
        """Read `inputs` and `model`, and drop what is written out but switched off."""
        folded = dict(parameters)
        fold_delivery(folded)
        fold_input_image(folded)
        _fold_model(folded)
        return folded


def _fold_model(parameters: dict[str, object]) -> None:
    model = parameters.pop("model", None)
    if model is None or model == "":
        return
    named = model.removeprefix(MODEL_PREFIX) if isinstance(model, str) else None
    if named is None or named == model or _spelled(named) not in get_args(PreProcessorType):
        raise TaskError(
            "invalidModel",
            f"'model' must be {MODEL_PREFIX} and the name of a preprocessor.",
            parameter="model",
            type="string",
            allowed_values=[MODEL_PREFIX + name for name in get_args(PreProcessorType)],
        )
    given = parameters.setdefault("preProcessorType", named)
    if _spelled(given) != _spelled(named):
        raise TaskError(
            "incompatibleParameters",
            "'preProcessorType' and 'model' name different preprocessors; give one of them.",
            parameter=["preProcessorType", "model"],
        )
