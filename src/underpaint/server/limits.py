"""What a key may send, and how often, judged before the studio sees a task."""

import time
from collections.abc import Callable, Mapping

from underpaint.permissions import Limits, Scope
from underpaint.settings import Settings
from underpaint.studio.caller import Caller
from underpaint.wire import TaskError

SCOPE_OF_TASK: Mapping[str, Scope | None] = {
    "imageUpload": "uploads",
    "mediaStorage": "uploads",
    "modelSearch": "search",
    "modelUpload": "library",
    # Each reaches only tasks of the same key.
    "getResponse": None,
    "getTaskDetails": None,
    "cancelTask": None,
}
"""The scope that a task needs; every other task needs "inference"."""

_UNCOUNTED = frozenset({"getResponse", "getTaskDetails", "cancelTask"})
"""Clients take an error that answers a poll for the end of the task itself. They bound their polling themselves."""


def limits_of(settings: Settings) -> Limits:
    """The limits of keys that have none of their own."""
    return Limits(
        requests_per_s=settings.key_requests_per_s,
        queued_tasks=settings.key_queued_tasks,
        queued_pixels=settings.key_queued_pixels,
    )


class RequestRates:
    """How often each caller has sent something lately: a token bucket for each, that holds the tokens of one second.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        """By owner: the tokens that there were, and when. Owners are keys, which are few."""

    def admit(self, task_type: str | None, caller: Caller) -> None:
        """Let a task through, and count it.

        Raises:
            TaskError: `insufficientPermissions` or `rateLimitExceeded`.
        """
        scope = SCOPE_OF_TASK.get(task_type or "", "inference")
        if scope is not None and scope not in caller.scopes:
            allowed = ", ".join(sorted(caller.scopes)) or "none"
            raise TaskError(
                "insufficientPermissions",
                f"This task needs a key with the scope '{scope}'; the scopes of this key: {allowed}.",
                parameter="taskType",
            )
        rate = caller.limits.requests_per_s
        if rate is None or task_type in _UNCOUNTED:
            return
        most, now_s = max(1.0, rate), self._clock()
        tokens, then_s = self._buckets.get(caller.owner, (most, now_s))
        tokens = min(most, tokens + (now_s - then_s) * rate)
        if tokens < 1:
            self._buckets[caller.owner] = (tokens, now_s)
            raise TaskError(
                "rateLimitExceeded",
                f"This key may send {rate:g} tasks in a second; try again in {(1 - tokens) / rate:.3g} s.",
            )
        self._buckets[caller.owner] = (tokens - 1, now_s)
