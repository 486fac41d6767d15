"""One task on its way to the studio and back: measured, logged, and never without an answer."""

import asyncio
import logging
import time

from underpaint.server.limits import RequestRates
from underpaint.server.metrics import Metrics, Outcome
from underpaint.server.mishaps import Mishaps
from underpaint.server.studio import Studio
from underpaint.studio import Cancellation, OnProgress
from underpaint.studio.caller import Caller, OnPart, Reply
from underpaint.wire import TaskError, task_identity

log = logging.getLogger(__name__)


class Dispatcher:
    """Hands tasks to the studio."""

    def __init__(self, studio: Studio, metrics: Metrics) -> None:
        self._studio = studio
        self._metrics = metrics
        self._rates = RequestRates()
        self.mishaps = Mishaps()
        self._stopping = False
        self._limits: set[asyncio.Timeout] = set()

    async def perform(
        self,
        raw: object,
        caller: Caller,
        *,
        hold_s: float = 0.0,
        on_progress: OnProgress | None = None,
        on_part: OnPart | None = None,
        cancellation: Cancellation | None = None,
    ) -> Reply:
        """Answer one task, also if the studio fails in a way that nobody foresaw: a task without an answer
        would keep its client waiting until its timeout.
        """
        task_type, task_uuid = task_identity(raw)
        began_s = time.monotonic()
        try:
            self._rates.admit(task_type, caller)
            reply = await self._studio.perform(
                raw,
                caller,
                hold_s=hold_s,
                on_progress=on_progress,
                on_part=on_part,
                cancellation=cancellation,
            )
        except TaskError as error:
            reply = refusal(error, raw)
        except Exception:
            log.exception("the studio failed", extra={"taskUUID": task_uuid, "taskType": task_type})
            reply = refusal(
                TaskError("internalServerError", "The server failed; its log has the details."), raw
            )
        seconds = time.monotonic() - began_s
        outcome = _outcome(reply)
        self._metrics.count_task(task_type, outcome, seconds)
        self.mishaps.note(reply)
        log.log(
            # Clients poll several times a second; that is not news.
            logging.DEBUG if task_type == "getResponse" and outcome == "success" else logging.INFO,
            "task: %s",
            outcome,
            extra={
                "taskUUID": task_uuid,
                "taskType": task_type,
                "code": reply.errors[0][1].get("code") if reply.errors else None,
                "seconds": round(seconds, 3),
            },
        )
        return reply

    async def perform_unless_stopping(
        self, raw: object, caller: Caller, *, cancellation: Cancellation | None = None
    ) -> Reply:
        """Like `perform`, but when the process ends first, say so: the caller of a POST has nobody else to
        ask.
        """
        # A limit without an end, until the process has one: so no task of its own has to be waited for.
        limit = asyncio.timeout(0 if self._stopping else None)
        self._limits.add(limit)
        try:
            async with limit:
                return await self.perform(raw, caller, cancellation=cancellation)
        except TimeoutError:
            return refusal(
                TaskError("serviceUnavailable", "The server is stopping. Ask it again with getResponse."), raw
            )
        finally:
            self._limits.discard(limit)

    def stop(self) -> None:
        """The process is about to end: who still waits for an answer shall wait no more."""
        if not self._stopping:
            self._stopping = True
            for limit in self._limits:
                limit.reschedule(0)


def refusal(error: TaskError, raw: object) -> Reply:
    """The reply to a task that fails before the studio sees it."""
    task_type, task_uuid = task_identity(raw)
    return Reply(errors=((error.status_code, error.item(task_uuid=task_uuid, task_type=task_type)),))


def _outcome(reply: Reply) -> Outcome:
    if not reply.errors:
        return "success"
    return "failed" if any(status_code >= 500 for status_code, _ in reply.errors) else "refused"
