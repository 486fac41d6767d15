"""Writing what must not be lost while the database cannot be written to for a time."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, OperationalError

from underpaint.studio.disk import is_full

Result = TypeVar("Result")

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0

log = logging.getLogger(__name__)


def is_passing(failure: Exception) -> bool:
    """Whether the database may take later what it did not take now: it restarts, is out of reach, or somebody else
    holds it. A full disk is no such thing: there is somebody to tell.
    """
    away = isinstance(failure, OperationalError) or (
        isinstance(failure, DBAPIError) and failure.connection_invalidated
    )
    return away and not is_full(failure)


def any_failure(failure: Exception) -> bool:
    """For what has to be written whatever stands in the way."""
    return True


async def until_written(
    write: Callable[[], Awaitable[Result]],
    *,
    what: str,
    stopping: asyncio.Event,
    again_after: Callable[[Exception], bool] = any_failure,
    delayed: Callable[[], object] = lambda: None,
) -> Result:
    """Write, again and again with growing pauses, until it is done.

    Args:
        write: writes, and may be called several times.
        what: it writes, for the log.
        stopping: once it is set, there is one more attempt.
        again_after: which failures may pass.
        delayed: called after every attempt that failed so.

    Raises:
        Exception: what does not pass, or did not before the end.
    """
    pause_s = FIRST_PAUSE_S
    while True:
        last = stopping.is_set()
        try:
            return await write()
        except Exception as failure:
            if last or not again_after(failure):
                raise
            log.warning("%s cannot be written down now, trying again in %g s: %s", what, pause_s, failure)
        delayed()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
