"""Errors a task can end in, in the shape the API's clients understand.

The clients sort an error by the spelling of its code, so a new code has to follow the existing patterns
(`invalid...`, `missing...`, `...NotFound`, `...Timeout`). Every code that can reach a client is in
`ERROR_CODES`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class ErrorCode:
    """What a code means, and the HTTP status of a reply that holds nothing but this error."""

    description: str
    status_code: int


def _code(status_code: int, description: str) -> ErrorCode:
    return ErrorCode(description=description, status_code=status_code)


INVALID_PARAMETER = "invalid<Parameter>"
MISSING_PARAMETER = "missing<Parameter>"

ERROR_CODES: Mapping[str, ErrorCode] = MappingProxyType(
    {
        # The request as a whole
        "invalidJson": _code(400, "The request is not JSON."),
        "invalidRequest": _code(400, "The request is not an array of task objects."),
        "arrayTooSmall": _code(400, "The request holds no task."),
        "maxTasksExceeded": _code(400, "The request holds more tasks than one request may."),
        "valueTooLarge": _code(413, "The request, or a picture in it, is larger than this server accepts."),
        "invalidTask": _code(400, "An element of the request is not a task object."),
        # Who is asking
        "missingApiKey": _code(
            401, "The request carries no API key, or the connection is not yet authenticated."
        ),
        "invalidApiKey": _code(401, "The API key is not one of this server's keys."),
        "authTimeout": _code(401, "The connection did not authenticate in time."),
        "insufficientPermissions": _code(
            403, "The API key is valid but may not do this; or a link to an image bears no valid signature."
        ),
        # The task's shape
        "unsupportedTaskType": _code(400, "This server does not know the task type, or cannot do it yet."),
        "unknownParameter": _code(400, "The task type has no parameter of this name."),
        "unsupportedParameter": _code(
            400,
            "The API has this parameter, but this server cannot honor it, and it would matter.",
        ),
        "incompatibleParameters": _code(400, "Two parameters contradict each other."),
        "missingDimensionParameters": _code(400, "Neither width nor height is given."),
        MISSING_PARAMETER: _code(400, "A required parameter is absent or null. The code names it."),
        INVALID_PARAMETER: _code(
            400,
            "A parameter has the wrong type, is out of range or names something unusable. The code names it.",
        ),
        # The task's life
        "conflictTaskUUID": _code(
            400, "A task with this taskUUID was already accepted; getResponse has its results."
        ),
        "taskNotFound": _code(404, "No task with this taskUUID was accepted under this key."),
        "taskCancelled": _code(400, "The task was cancelled. It may be sent again under its taskUUID."),
        "taskExpired": _code(404, "The task was accepted, but its results are no longer kept."),
        "mediaNotFound": _code(404, "No stored image has this UUID."),
        # Models
        "invalidModel": _code(
            400, "The model is not an AIR identifier, is unknown, or does not suit the task."
        ),
        "modelNotReady": _code(400, "The model is known but not installed on this server."),
        "modelAlreadyExists": _code(400, "A model of this AIR identifier is installed, or being uploaded."),
        # Work. A failure of an accepted task is no 5xx: REST clients answer a 5xx by sending the same
        # taskUUID again, and would show their user the conflictTaskUUID of that repeat in place of the
        # failure.
        "inferenceError": _code(400, "The engine failed while it worked on the task."),
        "downloadFailed": _code(400, "What a URL of the task leads to could not be fetched."),
        # Capacity. Most of these refuse a task before it is accepted, so that sending it again is right. Where it was
        # accepted, and goes on (inferenceTimeout, and serviceUnavailable while the server stops), what is sent again
        # is a conflict, whose message says where the results are.
        "rateLimitExceeded": _code(
            429, "The queue is full, or the key has reached one of its limits; send the task again later."
        ),
        "storageQuotaExceeded": _code(
            507, "The server's disk, or its share for pictures, is full; send the task again later."
        ),
        "noAvailableServer": _code(503, "No engine is running at the moment; send the task again later."),
        "serviceUnavailable": _code(503, "The server is starting or stopping; send the task again later."),
        "inferenceTimeout": _code(504, "The task did not finish within the server's time limit."),
        "internalServerError": _code(
            500, "The server failed in a way nobody foresaw; its log has the details."
        ),
    }
)

_FAMILIES = (
    (re.compile(r"invalid[A-Z]\w*"), INVALID_PARAMETER),
    (re.compile(r"missing[A-Z]\w*"), MISSING_PARAMETER),
)


def find_error_code(code: str) -> ErrorCode | None:
    """The documented meaning of a code, by name or else by its family; None for a code nobody documented."""
    if code in ERROR_CODES:
        return ERROR_CODES[code]
    for pattern, family in _FAMILIES:
        if pattern.fullmatch(code):
            return ERROR_CODES[family]
    return None


def parameter_code(prefix: str, parameter: str) -> str:
    """The code of a family for one parameter: `("invalid", "safety.mode")` gives `invalidSafetyMode`.

    Which element of a list it is does not matter: `passes[1].steps` gives `invalidPassesSteps`.
    """
    names = re.sub(r"\[\d+\]", "", parameter).split(".")
    return prefix + "".join(name[:1].upper() + name[1:] for name in names)


def encodable(text: str) -> str:
    """The text with a question mark for what UTF-8 cannot carry: a lone surrogate from a JSON escape."""
    return text.encode("utf-8", "replace").decode("utf-8")


class TaskError(Exception):
    """Why a task failed, in words meant for whoever sent it.

    Args:
        code: one of `ERROR_CODES`, or a member of one of its families.
        message: a sentence that says what is wrong and what would be right.
        parameter: the parameter at fault, such as `inputs.mask` or `passes[1].strength` where nested; several
            where they fail together.
        type: the type the parameter should have had, such as "integer" or "string[]".
        allowed_values: all the values the parameter can have, where they are few enough to list.
        status_code: HTTP status of a reply with only this error; by default what `ERROR_CODES` says.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        parameter: str | list[str] | None = None,
        type: str | None = None,
        allowed_values: list[object] | None = None,
        status_code: int | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        documented = find_error_code(code)
        self.code = code
        self.message = message
        self.parameter = parameter
        self.type = type
        self.allowed_values = allowed_values
        self.status_code = status_code or (documented.status_code if documented else 400)

    def item(self, *, task_uuid: str | None, task_type: str | None) -> dict[str, object]:
        """The error as it goes into `errors`; what is unknown is left out, never null.

        Args:
            task_uuid: of the failed task. Clients never end a call whose error lacks it, except that errors
                of `authentication` must not have one.
            task_type: as the client sent it.
        """
        item: dict[str, object] = {"code": self.code, "message": encodable(self.message)}
        if self.parameter is not None:
            names = self.parameter
            item["parameter"] = (
                encodable(names) if isinstance(names, str) else [encodable(name) for name in names]
            )
        if self.type is not None:
            item["type"] = self.type
        if self.allowed_values is not None:
            item["allowedValues"] = list(self.allowed_values)
        if task_uuid is not None:
            item["taskUUID"] = encodable(task_uuid)
        if task_type is not None:
            item["taskType"] = encodable(task_type)
        return item
