"""What tasks end in, and errors, as JSON Schema, for the OpenAPI document."""

import dataclasses
import re
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter
from pydantic.alias_generators import to_camel

from underpaint.wire import results

ITEM_TYPES: tuple[type[Any], ...] = (
    results.AuthenticationResult,
    results.Pong,
    results.ImageResult,
    results.GuideImageResult,
    results.UploadResult,
    results.MediaUploadResult,
    results.MediaDeleteResult,
    results.Acknowledgement,
    results.ProcessingStatus,
    results.CancelResult,
    results.ModelSearchResult,
    results.ModelUploadStatus,
    results.TaskDetailsResult,
)
"""Everything that can be an item of `data` in a reply."""

_CAPITALS = re.compile(r"(?<=[a-z0-9])(Uuid|Url|Uri|Cfg)(?=[A-Z]|$)|^nsfw(?=[A-Z])")
_CONSTANTS: dict[type[Any], dict[str, object]] = {
    results.AuthenticationResult: {"taskType": "authentication"},
    results.Pong: {"taskType": "ping", "pong": True},
    results.MediaUploadResult: {"operation": "upload"},
    results.MediaDeleteResult: {"operation": "delete"},
    results.ProcessingStatus: {"status": "processing"},
}
"""What items hold besides the fields of their types."""


def result_schemas(ref_template: str) -> dict[str, dict[str, Any]]:
    """JSON Schema of each kind of result item and of an error item, by name.

    Args:
        ref_template: how one definition refers to another, such as "#/components/schemas/{model}".
    """
    schemas = {each.__name__: _item(each, ref_template) for each in (*ITEM_TYPES, results.FoundModel)}
    schemas["Error"] = _ERROR
    return schemas


def item_name(field_name: str) -> str:
    """A field's name on the wire: `image_uuid` is `imageUUID`, `nsfw_content` is `NSFWContent`."""
    return _CAPITALS.sub(lambda match: match[0].upper(), to_camel(field_name))


def _item(result_type: type[Any], ref_template: str) -> dict[str, Any]:
    hints = get_type_hints(result_type)
    properties: dict[str, Any] = {}
    required = list(_CONSTANTS.get(result_type, ()))
    for name, value in _CONSTANTS.get(result_type, {}).items():
        properties[name] = {"const": value}
    for field in dataclasses.fields(result_type):
        name = item_name(field.name)
        properties[name] = _type(hints[field.name], ref_template)
        if field.default is not None:
            # Also a field with a default is in every item, unless its default is that it is absent.
            required.append(name)
    return {
        "type": "object",
        "description": " ".join((result_type.__doc__ or "").partition("\n\n")[0].split()),
        "properties": properties,
        "required": sorted(required),
    }


def _type(hint: Any, ref_template: str) -> dict[str, Any]:
    present = [each for each in get_args(hint) if each is not type(None)]
    if type(None) in get_args(hint):
        [hint] = present
    if results.FoundModel in get_args(hint):
        return {"type": "array", "items": {"$ref": ref_template.format(model="FoundModel")}}
    schema: dict[str, Any] = TypeAdapter(hint).json_schema()
    return schema


_ERROR: dict[str, Any] = {
    "type": "object",
    "description": "What is wrong, and what would be right.",
    "properties": {
        "code": {"type": "string", "minLength": 1},
        "message": {"type": "string", "minLength": 1},
        "parameter": {
            "description": "the parameter at fault; several where they fail together",
            "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        },
        "type": {"type": "string", "description": "the type that the parameter should have had"},
        "allowedValues": {"type": "array"},
        "taskUUID": {"type": "string"},
        "taskType": {"type": "string"},
        "status": {"const": "error", "description": "in the reply to getResponse"},
    },
    "required": ["code", "message"],
}
