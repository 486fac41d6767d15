"""HTTP responses in the API's own shape, for tasks and for everything that can go wrong around them."""

import json
from collections.abc import Mapping

from starlette.responses import Response

from underpaint.wire import TaskError, http_reply

RETRY_AFTER_S = 5
"""What a client is told to wait when there is no room."""


def json_response(
    status_code: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> Response:
    """A JSON response in pure ASCII, so that no text a client sent can make it fail to encode."""
    all_headers = {"Cache-Control": "no-store", **(headers or {})}
    if status_code in {429, 503}:
        all_headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    if status_code == 401:
        all_headers.setdefault("WWW-Authenticate", "Bearer")
    content = json.dumps(body, separators=(",", ":")).encode("ascii")
    return Response(content, status_code, all_headers, media_type="application/json")


def error_response(error: TaskError, headers: Mapping[str, str] | None = None) -> Response:
    """The response to a request that failed as a whole."""
    status_code, body = http_reply([], [(error.status_code, error.item(task_uuid=None, task_type=None))])
    return json_response(status_code, body, headers)
