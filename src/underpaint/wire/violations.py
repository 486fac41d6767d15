"""From what is wrong with a task to the one error that says so."""

import difflib
import json
from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Literal, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen, MinLen, MultipleOf
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from underpaint.wire.errors import TaskError, parameter_code
from underpaint.wire.fields import WireModel, wire_name
from underpaint.wire.parameters import says_nothing

_LONGEST_NAME = 64


def check_names(
    parameters: Mapping[str, object],
    *,
    known: Iterable[str],
    unsupported: Mapping[str, str] | None = None,
    within: str = "",
) -> None:
    """Refuse parameters that do not exist, and those that exist but cannot be honored.

    Args:
        parameters: by wire name; nulls already gone.
        known: names that are fine.
        unsupported: names that are refused unless their value says nothing, with the reason.
        within: what to put before names in messages, such as "inputs.".

    Raises:
        TaskError: `unknownParameter`, else `unsupportedParameter`.
    """
    unsupported = unsupported or {}
    if not parameters.keys() <= {*known, *unsupported}:
        names = [*known, *unsupported]
        raise _unknown_parameter(next(name for name in parameters if name not in names), names, within)
    for name, reason in unsupported.items():
        if name in parameters and not says_nothing(parameters[name]):
            parameter = within + name
            raise TaskError(
                "unsupportedParameter",
                f"'{parameter}' is not supported by this server: {reason}.",
                parameter=parameter,
            )


def fold_object(parameters: dict[str, object], name: str, model: type[WireModel]) -> None:
    """Prepare an object for its model: nulls count as absent, names are checked, an empty list says nothing.

    What is no object is left for the model to refuse.
    """
    value = parameters.get(name)
    if value == []:
        del parameters[name]
    if isinstance(value, dict):
        given = {str(key): member for key, member in value.items() if member is not None}
        check_names(given, known=model.wire_names(), within=f"{name}.")
        parameters[name] = given


def fold_list(
    parameters: dict[str, object],
    name: str,
    model: type[WireModel],
    *,
    unsupported: Mapping[str, str] | None = None,
) -> None:
    """Prepare a list of objects for its model: nulls count as absent, names are checked, an empty list says nothing.

    What is no list, or no object within it, is left for the model to refuse.

    Args:
        parameters: of the task; changed.
        name: of the list.
        model: of the objects.
        unsupported: members that are refused unless their value says nothing, with the reason.
    """
    unsupported = unsupported or {}
    value = parameters.get(name)
    if value == []:
        del parameters[name]
    if not isinstance(value, list) or not value:
        return
    folded: list[object] = []
    for index, element in enumerate(value):
        if isinstance(element, dict):
            element = {str(key): member for key, member in element.items() if member is not None}
            check_names(
                element, known=model.wire_names(), unsupported=unsupported, within=f"{name}[{index}]."
            )
            element = {key: member for key, member in element.items() if key not in unsupported}
        folded.append(element)
    parameters[name] = tuple(folded)


def _unknown_parameter(name: str, names: list[str], within: str) -> TaskError:
    # Comparing is quadratic in the length of the name, and a name can be as long as the request.
    folded = {each.casefold(): each for each in names}
    close = difflib.get_close_matches(name.casefold(), folded, n=1) if len(name) <= _LONGEST_NAME else []
    hint = f" Did you mean '{within}{folded[close[0]]}'?" if close else ""
    shown = within + (name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "...")
    return TaskError(
        "unknownParameter", f"There is no parameter '{shown}' in this task.{hint}", parameter=shown
    )


def first_violation(error: ValidationError, model: type[WireModel]) -> TaskError:
    """The first thing wrong with a task, in the order its parameters are documented."""
    violations = error.errors(include_url=False)
    missing = {violation["loc"][0] for violation in violations if violation["type"] == "missing"}
    violation = violations[0]
    name, field = _place(violation["loc"], model)
    if violation["type"] != "missing":
        return _invalid_parameter(violation, name, field)
    if name in ("width", "height") and {"width", "height"} <= missing:
        return TaskError(
            "missingDimensionParameters",
            "'width' and 'height' are required: the size of the picture in pixels.",
            parameter=["width", "height"],
            type="integer",
        )
    return TaskError(
        parameter_code("missing", name),
        f"'{name}' is required: {field.description}.",
        parameter=name,
        type=_type_name(field),
    )


def _place(location: tuple[int | str, ...], model: type[WireModel]) -> tuple[str, FieldInfo]:
    """The name of the parameter at fault, such as "steps" or "passes[1].steps", and its field."""
    name, field = "", None
    within: type[WireModel] | None = model
    for part in location:
        if within is None:
            break
        if isinstance(part, int):
            name += f"[{part}]"
            continue
        attributes = {wire_name(attribute): attribute for attribute in within.model_fields}
        name += f".{part}" if name else part
        field = within.model_fields[attributes[part]]
        within = _nested(field)
    assert field is not None, "a violation is of a parameter"
    return name, field


def _nested(field: FieldInfo) -> type[WireModel] | None:
    """The model of a field's object, or of the objects in its list; None for a field of another kind."""
    plain = _plain_type(field)
    if get_origin(plain) is tuple:
        plain = get_args(plain)[0]
    return plain if isinstance(plain, type) and issubclass(plain, WireModel) else None


def _invalid_parameter(violation: ErrorDetails, name: str, field: FieldInfo) -> TaskError:
    context = violation.get("ctx", {})
    allowed: list[object] | None = context.get("allowed_values") or _choices(field) or None
    type_name = _type_name(field)
    if "reason" in context:
        reason = str(context["reason"])
    elif violation["type"] == "value_error":
        reason = str(context["error"])
    elif name.endswith("]"):
        reason, type_name = "must be an object", "object"
    else:
        reason = f"must be {_expectation(field)}"
    return TaskError(
        parameter_code("invalid", name),
        f"'{name}' {reason}{_shown(violation['input'])}.{context.get('hint', '')}",
        parameter=name,
        type=type_name,
        allowed_values=allowed,
    )


def _shown(value: object) -> str:
    """The value at fault, where it is short enough to be of use."""
    short = (
        len(value) <= 40
        if isinstance(value, str)
        else isinstance(value, int | float) and not abs(value) > 1e30
    )
    return f", not {json.dumps(value)}" if short else ""


def _plain_type(field: FieldInfo) -> object:
    """The field's type without the None of an optional one."""
    annotation = field.annotation
    if get_origin(annotation) in (Union, UnionType):
        return next(each for each in get_args(annotation) if each is not NoneType)
    return annotation


def _choices(field: FieldInfo) -> list[object]:
    plain = _plain_type(field)
    if get_origin(plain) is tuple:
        plain = get_args(plain)[0]
    return list(get_args(plain)) if get_origin(plain) is Literal else []


def _type_name(field: FieldInfo) -> str:
    plain = _plain_type(field)
    if _nested(field):
        return "object[]" if get_origin(plain) is tuple else "object"
    if get_origin(plain) is tuple:
        return "string|string[]" if _choices(field) else "string[]"
    names = {int: "integer", float: "float", bool: "boolean"}
    return names.get(plain, "string") if isinstance(plain, type) else "string"


def _expectation(field: FieldInfo) -> str:
    """What a valid value is, in words: "an integer between 128 and 2048, divisible by 64"."""
    choices = _choices(field)
    if choices:
        listed = ", ".join(repr(choice) for choice in choices)
        return f"one of {listed}" + (", or a list of them" if get_origin(_plain_type(field)) is tuple else "")
    type_name = _type_name(field)
    noun = {
        "integer": "an integer",
        "float": "a number",
        "boolean": "true or false",
        "string": "a string",
        "string[]": "a list of strings",
        "object": "an object",
        "object[]": "a list of objects",
    }[type_name]
    bounds = {type(constraint): constraint for constraint in field.metadata}
    low, high, divisor = bounds.get(Ge), bounds.get(Le), bounds.get(MultipleOf)
    shortest, longest = bounds.get(MinLen), bounds.get(MaxLen)
    if low and high:
        noun += f" between {low.ge} and {high.le}"
    if divisor:
        noun += f", divisible by {divisor.multiple_of}"
    if type_name == "string" and longest:
        noun += f" of {shortest.min_length if shortest else 0} to {longest.max_length} characters"
    elif type_name.endswith("[]") and longest:
        noun += f", at most {longest.max_length}"
    elif shortest:
        noun = f"{noun} that is not empty"
    return noun
