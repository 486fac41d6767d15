"""What schemathesis loads (SCHEMATHESIS_HOOKS): requests that get further, and the check of every answer's shape."""

import random
import uuid
from typing import Any

import schemathesis

from tests.fuzz.shape import check_body
from tests.studio.conftest import encoded

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
        ("model", "underpaint:1@1"),
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
