"""The OpenAPI document, made from the types of the tasks and results: `GET /openapi.json`.

The server reads more than it says. Nulls count as absent, numbers may be written with a fraction, a single task may
stand without its array, and some parameters of the hosted API are accepted without effect; see docs/api.md.
"""

import functools
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from underpaint.server.replies import json_response
from underpaint.version import __version__
from underpaint.wire import ERROR_CODES, ITEM_TYPES, json_schema, result_schemas

_REF = "#/components/schemas/{model}"
_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_DESCRIPTION = (
    "The Runware task API on a machine of your own. Tasks go by POST, or over a WebSocket on the same paths: its first "
    "message is an array with an `authentication` task, each later one an array of tasks, and each answer a frame that "
    "has either `data` or `errors`. Where no key is configured, a server on a loopback address needs none."
)
_PLAYGROUND = "The playground, for browsers. With `Upgrade: websocket`, the WebSocket."
_EXAMPLE_UUIDS = {
    "imageInference": "e2c1ad1a-0a38-4dcd-8e83-1c6f6b0a7c11",
    "imageUpload": "e2c1ad1a-0a38-4dcd-8e83-1c6f6b0a7c12",
    "modelSearch": "e2c1ad1a-0a38-4dcd-8e83-1c6f6b0a7c13",
}
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGOo83wHAALZAXZAWCaYAAAAAElFTkSuQmCC"


async def get_openapi(request: Request) -> Response:
    """The document."""
    return json_response(200, openapi_document())


@functools.cache
def openapi_document() -> dict[str, Any]:
    """The document as an object. Paths are relative to wherever it was found."""
    tasks = json_schema(_REF)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Underpaint",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"key": []}, {}],
        "paths": {
            "/v1": {"post": _post("postTasks"), "get": _way_to_the_page()},
            "/": {"post": _post("postTasksToRoot"), "get": _page("getPage", _PLAYGROUND)},
            "/v1/tasks/{taskUUID}": {"delete": _delete()},
            "/images/{name}": {"get": _image()},
            "/healthz": {"get": _probe("getHealth", "Whether the process answers at all.", _HEALTH)},
            "/readyz": {
                "get": _probe(
                    "getReadiness", "Whether new tasks are accepted and run.", _READINESS, busy=True
                )
            },
            "/metrics": {
                "get": {
                    "operationId": "getMetrics",
                    "summary": "Metrics in the text form of Prometheus.",
                    "security": [],
                    "responses": {
                        "200": {
                            "description": "the metrics",
                            "content": {"text/plain": {"schema": {"type": "string"}}},
                        },
                        "default": _FAILURE,
                    },
                }
            },
            "/operator": {"get": _page("getOperatorPage", "The operator's page, for browsers.")},
            "/operator/errors": {"get": _mishaps()},
            "/openapi.json": {"get": _probe("getDocument", "This document.", {"type": "object"})},
        },
        "components": {
            "schemas": {
                **tasks.pop("$defs"),
                **result_schemas(_REF),
                "Tasks": tasks,
                "Item": {"anyOf": [{"$ref": _REF.format(model=each.__name__)} for each in ITEM_TYPES]},
                "Reply": _REPLY,
                "Failure": _FAILED,
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


_ITEMS = {"type": "array", "items": {"$ref": _REF.format(model="Item")}}
_ERRORS = {"type": "array", "minItems": 1, "items": {"$ref": _REF.format(model="Error")}}
_REPLY: dict[str, Any] = {
    "type": "object",
    "description": "Results of all tasks, and beside them the errors of those that failed. An authentication task has "
    "no result of its own.",
    "properties": {"data": _ITEMS, "errors": _ERRORS},
    "required": ["data"],
    "additionalProperties": False,
}
_FAILED: dict[str, Any] = {
    "type": "object",
    "description": "No task succeeded. `error` is the first of `errors`.",
    "properties": {
        "data": {"type": "array", "maxItems": 0},
        "errors": _ERRORS,
        "error": {"$ref": _REF.format(model="Error")},
    },
    "required": ["data", "errors", "error"],
    "additionalProperties": False,
}
_HEALTH = {"type": "object", "properties": {"status": {"const": "alive"}}, "required": ["status"]}
_READINESS = {
    "type": "object",
    "properties": {
        "ready": {"type": "boolean"},
        "waiting": {"type": "integer", "description": "results that wait to run"},
        "running": {"type": "integer", "description": "results that are being made"},
        "reason": {"type": "string"},
    },
    "required": ["ready", "waiting", "running"],
}


def _json(schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_FAILURE = _json({"$ref": _REF.format(model="Failure")}, "an error in the shape of the API")
_WAIT = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds to wait"}}


def _failures(*status_codes: int) -> dict[str, Any]:
    """The statuses that a request as a whole can fail with, each with the codes that lead to it."""
    failures = {}
    for status_code in sorted(status_codes):
        codes = ", ".join(name for name, code in ERROR_CODES.items() if code.status_code == status_code)
        failures[str(status_code)] = {
            **_FAILURE,
            "description": codes or "an error in the shape of the API",
            **({"headers": _WAIT} if status_code in (429, 503) else {}),
        }
    return failures


def _all_failures() -> dict[str, Any]:
    return _failures(408, 405, *{code.status_code for code in ERROR_CODES.values()})


def _post(operation_id: str) -> dict[str, Any]:
    image = "$response.body#/data/0/imageUUID"
    return {
        "operationId": operation_id,
        "summary": "Run tasks: as many as the array holds, side by side, each answered by itself.",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": _REF.format(model="Tasks")},
                    "examples": {task["taskType"]: {"value": [task]} for task in _examples()},
                }
            },
        },
        "responses": {
            "200": {
                **_json({"$ref": _REF.format(model="Reply")}, "at least one task succeeded"),
                "links": {
                    "picture": {"operationId": "getImage", "parameters": {"name": f"{{{image}}}.jpg"}},
                    "cancel": {
                        "operationId": "cancelTask",
                        "parameters": {"taskUUID": "$response.body#/data/0/taskUUID"},
                    },
                },
            },
            **_all_failures(),
        },
    }


def _examples() -> list[dict[str, object]]:
    uuids = _EXAMPLE_UUIDS
    return [
        {
            "taskType": "imageInference",
            "taskUUID": uuids["imageInference"],
            "model": "underpaint:1@2",
            "positivePrompt": "a watercolor painting of a harbor",
            "seedImage": f"data:image/png;base64,{_PIXEL}",
            "strength": 0.7,
            "width": 512,
            "height": 512,
            "steps": 20,
        },
        {"taskType": "imageUpload", "taskUUID": uuids["imageUpload"], "image": _PIXEL},
        {"taskType": "modelSearch", "taskUUID": uuids["modelSearch"], "search": "underpaint"},
        {"taskType": "getResponse", "taskUUID": uuids["imageInference"]},
        {"taskType": "getTaskDetails", "taskUUID": uuids["imageInference"]},
        {"taskType": "ping", "ping": True},
    ]


def _page(operation_id: str, summary: str) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "summary": summary,
        "security": [],
        "responses": {
            "200": {"description": "the page", "content": {"text/html": {"schema": {"type": "string"}}}},
            "default": _FAILURE,
        },
    }


def _mishaps() -> dict[str, Any]:
    item = {"type": "object", "required": ["time", "status", "code", "message"]}
    return {
        "operationId": "getErrors",
        "summary": "The errors that tasks were answered with lately, the newest first. Needs the scope operator.",
        "responses": {
            "200": _json(
                {
                    "type": "object",
                    "required": ["errors"],
                    "properties": {"errors": {"type": "array", "items": item}},
                },
                "the errors",
            ),
            **_failures(401, 403, 405, 500),
        },
    }


def _way_to_the_page() -> dict[str, Any]:
    return {
        "operationId": "getWayToPage",
        "summary": "Leads browsers to the playground. With `Upgrade: websocket`, the WebSocket.",
        "security": [],
        "responses": {
            "307": {
                "description": "the page is elsewhere",
                "headers": {"Location": {"schema": {"type": "string"}}},
            },
            "default": _FAILURE,
        },
    }


def _delete() -> dict[str, Any]:
    return {
        "operationId": "cancelTask",
        "summary": "End a task before it is finished, as the task cancelTask does.",
        "parameters": [
            {
                "name": "taskUUID",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9-]{1,64}$"},
            }
        ],
        "responses": {
            "200": _json({"$ref": _REF.format(model="Reply")}, "the task is over"),
            **_all_failures(),
        },
    }


def _image() -> dict[str, Any]:
    return {
        "operationId": "getImage",
        "summary": "A stored picture. Whoever knows its name may read it.",
        "security": [],
        "parameters": [
            {
                "name": "name",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "pattern": rf"^{_UUID}\.(jpg|png|webp)$"},
            },
            {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}},
            {"name": "If-Modified-Since", "in": "header", "schema": {"type": "string"}},
        ],
        "responses": {
            "200": {
                "description": "the file",
                "content": {
                    media_type: {"schema": {"type": "string", "contentEncoding": "binary"}}
                    for media_type in ("image/jpeg", "image/png", "image/webp")
                },
            },
            "304": {"description": "the client has it already"},
            **_failures(403, 404, 405, 500),
        },
    }


def _probe(operation_id: str, summary: str, schema: dict[str, Any], *, busy: bool = False) -> dict[str, Any]:
    responses = {"200": _json(schema, "yes"), "default": _FAILURE}
    if busy:
        responses["503"] = {**_json(schema, "no, and why"), "headers": _WAIT}
    return {"operationId": operation_id, "summary": summary, "security": [], "responses": responses}
