"""`/operator/errors`, for whoever runs the server. The other figures of the operator's page are those of `/metrics`."""

from starlette.requests import Request
from starlette.responses import Response

from underpaint.server.http import bearer_key
from underpaint.server.replies import error_response, json_response
from underpaint.server.services import services_of
from underpaint.wire import TaskError


async def get_mishaps(request: Request) -> Response:
    """Answer whoever has a key with the scope `operator`."""
    services = services_of(request)
    try:
        owner = await services.access.owner_of(bearer_key(request.headers.get("authorization")))
        caller = await services.access.caller(owner, "")
        if "operator" not in caller.scopes:
            raise TaskError("insufficientPermissions", "This needs a key with the scope 'operator'.")
    except TaskError as error:
        return error_response(error)
    return json_response(200, {"errors": services.dispatcher.mishaps.items()})
