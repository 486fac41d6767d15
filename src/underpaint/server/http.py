"""POST: an array of tasks in, the results and errors of all of them out. DELETE: a task ends early."""

import asyncio
import re
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from underpaint.gathering import gather
from underpaint.server.addresses import base_url
from underpaint.server.dispatch import refusal
from underpaint.server.reading import read_tasks
from underpaint.server.replies import error_response, json_response
from underpaint.server.services import Services, services_of
from underpaint.studio import Cancellation
from underpaint.studio.caller import Reply
from underpaint.wire import AuthenticationTask, Pong, TaskError, http_reply, parse_task, task_identity

_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)
_MISPLACED = TaskError(
    "invalidTaskType", "In a POST, authentication can only be the first element.", parameter="taskType"
)


async def post_tasks(request: Request) -> Response:
    """Answer when every task of the request is answered. Tasks run side by side, and fail one by one."""
    services = services_of(request)
    try:
        header_key = bearer_key(request.headers.get("authorization"))
        # A wrong key is refused before its body is read.
        owner = await services.access.owner_of(header_key) if header_key is not None else None
        body = await services.bodies.read(request.stream(), _declared_bytes(request))
        tasks = await read_tasks(body)
        del body
        element_key, tasks = _split_authentication(tasks)
        if owner is None:
            owner = await services.access.owner_of(element_key)
        caller = await services.access.caller(owner, base_url(request, services.settings.public_url))
    except TaskError as error:
        return error_response(error)
    cancellations = [Cancellation() for _ in tasks]

    async def answer(raw: object, cancellation: Cancellation) -> Reply:
        match task_identity(raw)[0]:
            case "ping":
                return Reply(data=(Pong().item(),))
            case "authentication":
                return refusal(_MISPLACED, raw)
            case _:
                return await services.dispatcher.perform_unless_stopping(
                    raw, caller, cancellation=cancellation
                )

    watching = None
    if services.settings.cancel_on_disconnect:
        watching = asyncio.ensure_future(_cancel_when_gone(request, services, cancellations))
    try:
        replies = await gather(map(answer, tasks, cancellations))
    finally:
        if watching is not None:
            watching.cancel()
    return _response(replies)


async def delete_task(request: Request) -> Response:
    """Cancel the task that the path names: what the task cancelTask does, for whoever has only its UUID and a key."""
    services = services_of(request)
    try:
        owner = await services.access.owner_of(bearer_key(request.headers.get("authorization")))
        caller = await services.access.caller(owner, base_url(request, services.settings.public_url))
    except TaskError as error:
        return error_response(error)
    raw = {"taskType": "cancelTask", "taskUUID": request.path_params["task_uuid"]}
    return _response([await services.dispatcher.perform_unless_stopping(raw, caller)])


def _response(replies: Sequence[Reply]) -> Response:
    status_code, envelope = http_reply(
        [dict(item) for reply in replies for item in reply.data],
        [(status_code, dict(item)) for reply in replies for status_code, item in reply.errors],
    )
    return json_response(status_code, envelope)


async def _cancel_when_gone(
    request: Request, services: Services, cancellations: Sequence[Cancellation]
) -> None:
    """Wait until the client takes its connection away, which is all that can still come from it."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    # Who is cut off by the end of the server may ask the next one, where the tasks go on.
    if not services.draining:
        for cancellation in cancellations:
            cancellation.request()


def bearer_key(header: str | None) -> str | None:
    """The key in an `Authorization` header, if there is one."""
    match = _BEARER.fullmatch(header) if header else None
    return match[1] if match else None


def _declared_bytes(request: Request) -> int | None:
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isascii() and declared.isdigit() else None


def _split_authentication(tasks: list[object]) -> tuple[str | None, list[object]]:
    """The key in the first element, where a client may put it in place of the header, and the tasks proper.

    The element gets no answer of its own: the API does not say that it does, and no client looks for one.
    """
    if task_identity(tasks[0])[0] != "authentication":
        return None, tasks
    task = parse_task(tasks[0])
    return (task.api_key if isinstance(task, AuthenticationTask) else None), tasks[1:]
