"""What every answer must look like, whatever was asked."""

import copy
import functools
from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from underpaint.server.openapi import openapi_document
from underpaint.wire import find_error_code

UNFORESEEN = {"internalServerError", "inferenceError"}


@functools.cache
def validator(name: str) -> jsonschema_rs.Draft202012Validator:
    """Of one schema of the OpenAPI document. Stricter than the document: items have no key that it does not name."""
    document = copy.deepcopy(openapi_document())
    for schema in document["components"]["schemas"].values():
        if schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
    return jsonschema_rs.Draft202012Validator({**document, "$ref": f"#/components/schemas/{name}"})


def check_error(error: Mapping[str, Any]) -> None:
    """An error item is whole, its code is documented, and it is not the server's own failure."""
    validator("Error").validate(error)
    assert find_error_code(error["code"]) is not None, error
    assert error["code"] not in UNFORESEEN, error


def check_body(status_code: int, body: object) -> None:
    """The body of a reply to a POST or DELETE fits its status."""
    assert status_code < 500 or status_code in (503, 507), (status_code, body)
    validator("Reply" if status_code == 200 else "Failure").validate(body)
    assert isinstance(body, dict)
    for error in body.get("errors", ()):
        check_error(error)


def check_frame(frame: object) -> None:
    """A frame has either results or errors, never both."""
    assert isinstance(frame, dict)
    assert len(frame) == 1, frame
    [(kind, items)] = frame.items()
    assert kind in ("data", "errors", "progress"), frame
    assert isinstance(items, list)
    assert items, frame
    for item in items:
        if kind == "errors":
            check_error(item)
        elif kind == "data":
            validator("Item").validate(item)
