"""Reference images: pictures that an editing model looks at while it makes its own."""

from collections.abc import Callable
from typing import Annotated

from pydantic import BeforeValidator, Field, WrapValidator

from underpaint.wire.errors import TaskError
from underpaint.wire.fields import integral
from underpaint.wire.violations import check_names

MAX_REFERENCE_IMAGES = 16
"""That one task may have; its model may take fewer."""

_OF_OTHER_MODELS = dict.fromkeys(
    ("role", "tag", "type", "strength"), "only the pictures themselves count, in their order"
)
"""What newer models are told of each picture."""

_AS_REFERENCE = object()


def _side(value: object, handler: Callable[[object], int]) -> int:
    return 0 if value is _AS_REFERENCE else handler(value)


Side = Annotated[int, Field(ge=128, le=2048, multiple_of=64), BeforeValidator(integral), WrapValidator(_side)]
"""Of the picture in pixels; 0 where both sides are left to the first reference image."""


def fold_reference_images(parameters: dict[str, object], inputs: dict[str, object]) -> None:
    """Bring both places and both forms of reference images into one: a tuple of pictures.

    Args:
        parameters: of the task.
        inputs: its `inputs`, of which `referenceImages` is read.

    Raises:
        TaskError: the places hold different pictures, or an object among them is malformed.
    """
    outer, nested = parameters.get("referenceImages"), inputs.get("referenceImages")
    if outer in (None, []):
        outer = nested
    elif nested not in (None, []) and nested != outer:
        raise TaskError(
            "incompatibleParameters",
            "'referenceImages' and 'inputs.referenceImages' are different pictures; give one of them.",
            parameter=["referenceImages", "inputs.referenceImages"],
        )
    if outer in (None, []):
        parameters.pop("referenceImages", None)
        return
    parameters["referenceImages"] = (
        tuple(_picture(each, index) for index, each in enumerate(outer)) if isinstance(outer, list) else outer
    )
    if "width" not in parameters and "height" not in parameters:
        parameters["width"] = parameters["height"] = _AS_REFERENCE


def _picture(element: object, index: int) -> object:
    """The picture of an element, which may stand in an object. What is neither is left for the model to refuse."""
    if not isinstance(element, dict):
        return element
    place = f"referenceImages[{index}]"
    given = {str(name): value for name, value in element.items() if value is not None}
    check_names(given, known=("image",), unsupported=_OF_OTHER_MODELS, within=f"{place}.")
    if "image" not in given:
        raise TaskError(
            "missingReferenceImagesImage",
            f"'{place}.image' is required: the picture.",
            parameter=f"{place}.image",
            type="string",
        )
    return given["image"]
