"""The picture of a task that has one, where newer clients put it: `inputs.image`."""

from typing import Any

from underpaint.wire.errors import TaskError, parameter_code
from underpaint.wire.parameters import says_nothing
from underpaint.wire.violations import check_names


def with_input_image(schema: dict[str, Any]) -> None:
    """Say in a task's schema that there is this place, too."""
    schema["properties"]["inputs"] = {
        "type": "object",
        "description": "another place for inputImage",
        "properties": {"image": {"type": "string", "description": "as inputImage", "minLength": 1}},
    }


def fold_input_image(parameters: dict[str, object]) -> None:
    """Move `inputs.image` to `inputImage`.

    Raises:
        TaskError: `inputs` is no object, holds something else, or another picture than `inputImage`.
    """
    inputs = parameters.pop("inputs", None)
    if inputs is None or inputs == []:
        return
    if not isinstance(inputs, dict):
        raise TaskError(
            parameter_code("invalid", "inputs"),
            "'inputs' must be an object.",
            parameter="inputs",
            type="object",
        )
    given = {str(name): value for name, value in inputs.items() if not says_nothing(value)}
    check_names(given, known=("image",), within="inputs.")
    if "image" not in given:
        return
    if parameters.setdefault("inputImage", given["image"]) != given["image"]:
        raise TaskError(
            "incompatibleParameters",
            "'inputImage' and 'inputs.image' are different pictures; give one of them.",
            parameter=["inputImage", "inputs.image"],
        )
