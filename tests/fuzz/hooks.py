"""What schemathesis loads (SCHEMATHESIS_HOOKS): requests that get further, and the check of every answer's shape."""

import json
import random
import uuid
from typing import Any

import schemathesis

from tests.fuzz.shape import check_body
from tests.studio.conftest import encoded
from underpaint.wire import TaskError, parse_task, task_identity

PICTURE = encoded((16, 16))


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Half of all tasks name the model that there is, and a picture, and have a UUID of their own: what schemathesis
    makes up for these never leads past the first check.
    """
    if not isinstance(body, list):
        return body
    draw = random.Random(repr(body))
    return [_plausible(task) if isinstance(task, dict) and draw.random() < 0.5 else task for task in body]


def _plausible(task: dict[str, Any]) -> dict[str, Any]:
    changed = {**task, "taskUUID": str(uuid.uuid4())}
    for name, value in (
        ("model", "underpaint:1@2"),
        ("seedImage", PICTURE),
        ("maskImage", PICTURE),
        ("image", PICTURE),
        ("media", PICTURE),
    ):
        if name in changed:
            changed[name] = value
    for name in ("width", "height"):
        if isinstance(changed.get(name), int):
            # Large pictures take long to encode, and show nothing that small ones do not.
            changed[name] = min(changed[name], 256)
    for name in ("webhookURL", "uploadEndpoint"):
        changed.pop(name, None)
    if isinstance(changed.get("numberResults"), int):
        changed["numberResults"] = min(changed["numberResults"], 2)
    if changed.get("taskType") in ("authentication", "ping"):
        changed.pop("taskUUID")
    return changed


@schemathesis.check
def shape_of_the_api(context: Any, response: Any, case: Any) -> None:
    """Whatever is answered in JSON by the places of tasks, and whatever is refused, is in the shape of the API."""
    if response.status_code == 304 or case.method == "HEAD":
        return
    tasks = case.method in ("POST", "DELETE") and not case.path.startswith("/images")
    if tasks or response.status_code >= 400:
        if case.path == "/readyz" and response.status_code == 503:
            return
        try:
            check_body(response.status_code, response.json())
        except Exception as failure:
            raise AssertionError(f"{response.status_code}: {failure}") from failure


@schemathesis.check
def what_is_wrong_is_refused(context: Any, response: Any, case: Any) -> None:
    """Each task of an array has an answer of its own, and one that its type refuses has the error of that."""
    if case.operation.definition.raw.get("operationId") not in ("postTasks", "postTasksToRoot"):
        return
    try:
        sent, reply = json.loads(response.request.body), response.json()
    except (TypeError, ValueError):
        return
    errors, data = reply.get("errors", []), reply.get("data", [])
    if not isinstance(sent, list) or (not data and len(errors) == 1 and "taskUUID" not in errors[0]):
        # The request was refused as a whole.
        return
    told = {(error.get("taskUUID"), error["code"]) for error in errors}
    answered = {item.get("taskUUID") for item in (*data, *errors)}
    for raw in sent:
        task_type, task_uuid = task_identity(raw)
        if task_type in ("authentication", "ping"):
            continue
        assert task_uuid in answered, f"no answer to {raw!r}"
        code = _refused_with(raw)
        assert code is None or (task_uuid, code) in told, f"{raw!r} was not refused with {code}: {told}"


def _refused_with(raw: object) -> str | None:
    """The code of the error that a task's type refuses it with."""
    try:
        parse_task(raw)
    except TaskError as refusal:
        return refusal.code
    return None
