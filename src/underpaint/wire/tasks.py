"""Reading tasks: from what JSON gave to a typed task, or to the one error that says what is wrong."""

import difflib
from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

from pydantic import ValidationError

from underpaint.wire.errors import TaskError, encodable
from underpaint.wire.image_inference import ImageInferenceTask
from underpaint.wire.model_search import ModelSearchTask
from underpaint.wire.model_upload import ModelUploadTask
from underpaint.wire.polling import CancelTask, GetResponseTask, GetTaskDetailsTask
from underpaint.wire.preprocess import ControlNetPreprocessTask
from underpaint.wire.session import AuthenticationTask, PingTask
from underpaint.wire.uploads import ImageUploadTask, MediaStorageTask
from underpaint.wire.upscale import UpscaleTask
from underpaint.wire.violations import check_names, first_violation

Task = (
    AuthenticationTask
    | PingTask
    | ImageInferenceTask
    | UpscaleTask
    | ControlNetPreprocessTask
    | ImageUploadTask
    | MediaStorageTask
    | GetResponseTask
    | GetTaskDetailsTask
    | CancelTask
    | ModelSearchTask
    | ModelUploadTask
)

TASK_MODELS: Mapping[str, type[Task]] = MappingProxyType(
    {str(model.model_fields["task_type"].default): model for model in get_args(Task)}
)
"""The model of each task type that this server knows."""

_OTHER_NAMES: Mapping[str, type[Task]] = MappingProxyType(
    {"imageUpscale": UpscaleTask, "imageControlNetPreProcess": ControlNetPreprocessTask}
)
"""Names that some clients have for a task type; the answers have the name that was sent."""

MAX_TASKS = 100
"""Tasks that one request may hold."""

_SESSION_TASKS = frozenset({"authentication", "ping"})
_LONGEST_ECHO = 256


def parse_request(body: object) -> list[object]:
    """The tasks of a request, not yet read.

    The API asks for an array also for a single task. A single task object is accepted as an array of one:
    there is only one thing it can mean.

    Raises:
        TaskError: the body is no array, is empty, or holds more than `MAX_TASKS` tasks.
    """
    if isinstance(body, dict):
        return [body]
    if not isinstance(body, list):
        raise TaskError("invalidRequest", "The request must be an array of task objects.", type="object[]")
    if not body:
        raise TaskError("arrayTooSmall", "The request holds no task.", type="object[]")
    if len(body) > MAX_TASKS:
        raise TaskError(
            "maxTasksExceeded",
            f"The request holds {len(body)} tasks; {MAX_TASKS} are allowed.",
            type="object[]",
        )
    return body


def parse_task(raw: object) -> Task:
    """Read one task.

    Nulls count as absent. Names are checked before values, since a misspelt name explains whatever else is
    wrong; values are checked in the order in which the parameters are documented.

    Args:
        raw: an element of the request, as JSON gave it.

    Raises:
        TaskError: the first thing wrong with the task.
    """
    if not isinstance(raw, dict):
        raise TaskError("invalidTask", "A task must be an object.", type="object")
    parameters = {str(name): value for name, value in raw.items() if value is not None}
    model = _task_model(parameters.get("taskType"))
    known = model.wire_names()
    if parameters["taskType"] in _SESSION_TASKS:
        parameters.pop("taskUUID", None)
    parameters = {name: value for name, value in parameters.items() if name not in model.ignored}
    parameters = model.fold(parameters)
    check_names(parameters, known=known, unsupported=model.unsupported)
    try:
        return model.model_validate(
            {name: value for name, value in parameters.items() if name in known}, by_alias=True, by_name=False
        )
    except ValidationError as error:
        raise first_violation(error, model) from None


def task_identity(raw: object) -> tuple[str | None, str | None]:
    """The taskType and taskUUID of a task that may be malformed, as far as an error can echo them.

    A task of the connection itself has no taskUUID, whatever was sent: a client would not recognise the
    error.
    """
    if not isinstance(raw, dict):
        return None, None
    task_type, task_uuid = _echo(raw.get("taskType")), _echo(raw.get("taskUUID"))
    return task_type, None if task_type in _SESSION_TASKS else task_uuid


def _echo(value: object) -> str | None:
    return encodable(value) if isinstance(value, str) and 0 < len(value) <= _LONGEST_ECHO else None


def _task_model(task_type: object) -> type[Task]:
    if task_type is None:
        raise TaskError(
            "missingTaskType",
            "'taskType' is required: what the task is to do.",
            parameter="taskType",
            type="string",
            allowed_values=list(TASK_MODELS),
        )
    if not isinstance(task_type, str):
        raise TaskError(
            "invalidTaskType", "'taskType' must be a string.", parameter="taskType", type="string"
        )
    if task_type in TASK_MODELS:
        return TASK_MODELS[task_type]
    if task_type in _OTHER_NAMES:
        return _OTHER_NAMES[task_type]
    shown = task_type[:64]
    folded = {each.casefold(): each for each in TASK_MODELS}
    close = difflib.get_close_matches(shown.casefold(), folded, n=1)
    hint = f" Did you mean '{folded[close[0]]}'?" if close else ""
    raise TaskError(
        "unsupportedTaskType",
        f"This server has no task of type '{shown}'.{hint}",
        parameter="taskType",
        type="string",
        allowed_values=list(TASK_MODELS),
    )
