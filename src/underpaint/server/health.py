"""`/healthz`, `/readyz` and `/metrics`, for whatever runs the server."""

from starlette.requests import Request
from starlette.responses import Response

from underpaint.server.metrics import CONTENT_TYPE
from underpaint.server.replies import json_response
from underpaint.server.services import services_of


async def get_health(request: Request) -> Response:
    """200 as long as the process answers at all. What fails this should be restarted."""
    return json_response(200, {"status": "alive"})


async def get_readiness(request: Request) -> Response:
    """200 while new tasks are accepted and run, otherwise 503 and why: it should get no traffic then."""
    services = services_of(request)
    status = services.studio.status()
    if services.draining or status.draining:
        reason = "the server is stopping"
    elif not status.ready:
        reason = "the engine is not ready"
    else:
        reason = None
    body: dict[str, object] = {"ready": reason is None, "waiting": status.waiting, "running": status.running}
    if reason is not None:
        body["reason"] = reason
    return json_response(503 if reason else 200, body)


async def get_metrics(request: Request) -> Response:
    """The metrics, in the text form of Prometheus."""
    return Response(services_of(request).metrics.render(), headers={"Content-Type": CONTENT_TYPE})
