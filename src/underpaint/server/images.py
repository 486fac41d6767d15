"""Stored images by URL, readable without a key: the 122 random bits of a UUID, or by setting a signature, are the
permission.
"""

import re
from email.utils import formatdate, parsedate_to_datetime

from starlette.requests import Request
from starlette.responses import Response

from underpaint.server.replies import error_response
from underpaint.server.services import services_of
from underpaint.wire import TaskError

# The only names that ever reach the store: no dots, no slashes, no other case.
_NAME = re.compile(r"(?P<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(?P<extension>[a-z]{3,4})")

MAX_AGE_S = 3600
_SHARED_HEADERS = {
    # Web pages draw results on a canvas, or fetch them; whoever knows the URL may read the image anyway.
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    # Whatever the bytes are, they are shown as the image they are declared to be, and run nothing.
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


async def get_image(request: Request) -> Response:
    """Answer GET and HEAD, conditional ones too."""
    name = request.path_params["name"]
    match = _NAME.fullmatch(name)
    image, refusal = None, TaskError("mediaNotFound", "There is no such image, or it is no longer kept.")
    if match:
        try:
            image = await services_of(request).studio.open_image(
                match["uuid"],
                match["extension"],
                expires=request.query_params.get("expires", ""),
                signed=request.query_params.get("signature", ""),
            )
        except TaskError as error:
            refusal = error
    if image is None:
        return error_response(
            refusal, {"Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff"}
        )
    etag = f'"{name}"'
    max_age_s = MAX_AGE_S if image.left_s is None else min(MAX_AGE_S, int(image.left_s))
    headers = {
        **_SHARED_HEADERS,
        # An image never changes. It may be private, and it ceases to exist with its ttl: not for shared caches,
        # nor for long.
        "Cache-Control": f"private, max-age={max_age_s}, immutable",
        "ETag": etag,
        "Last-Modified": formatdate(image.created_s, usegmt=True),
    }
    if _is_unchanged(request, etag, image.created_s):
        return Response(status_code=304, headers=headers)
    headers["Content-Disposition"] = f'inline; filename="{name}"'
    headers["Content-Type"] = image.media_type
    if request.method == "HEAD":
        return Response(headers={**headers, "Content-Length": str(len(image.data))})
    return Response(image.data, headers=headers)


def _is_unchanged(request: Request, etag: str, created_s: float) -> bool:
    """Whether the client has it already, by RFC 9110, section 13.1."""
    if (tags := request.headers.get("if-none-match")) is not None:
        return any(tag.strip().removeprefix("W/") in {etag, "*"} for tag in tags.split(","))
    if (since := request.headers.get("if-modified-since")) is not None:
        try:
            return int(created_s) <= parsedate_to_datetime(since).timestamp()
        except ValueError:
            return False
    return False
