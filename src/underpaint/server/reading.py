"""From the bytes of a request to its tasks, within bounds."""

import asyncio
import json
from collections.abc import AsyncIterator

from underpaint.wire import TaskError, parse_request

LARGE_BYTES = 64 * 2**10
"""Above this, JSON is read in a thread, so that the event loop stays free."""
MAX_JSON_VALUES = 200_000
"""The bytes of a picture are one value, and no honest request has many. Reading costs time and memory by the
value: 60 MB of `[],[],[],...` take gigabytes and seconds, in C code that lets no other thread run."""
BODY_PAUSE_S = 30.0
"""Longest wait for the next part of a body."""
_COUNT_BYTES = 2**20


async def read_body(parts: AsyncIterator[bytes], declared_bytes: int | None, max_bytes: int) -> bytes:
    """Collect a request body.

    Args:
        parts: the body as it arrives.
        declared_bytes: what the client says its length is, None when it does not.
        max_bytes: where to stop, whatever the client says.

    Raises:
        TaskError: it is too large, or the client stopped sending.
    """
    if declared_bytes is not None and declared_bytes > max_bytes:
        raise too_large(max_bytes)
    body = bytearray()
    while True:
        try:
            async with asyncio.timeout(BODY_PAUSE_S):
                part = await anext(parts, None)
        except TimeoutError:
            message = f"Nothing more of the request arrived for {BODY_PAUSE_S:g} s."
            raise TaskError("invalidRequest", message, status_code=408) from None
        if part is None:
            return bytes(body)
        body += part
        if len(body) > max_bytes:
            raise too_large(max_bytes)


def too_large(max_bytes: int) -> TaskError:
    """The error for a request over the limit."""
    return TaskError(
        "valueTooLarge",
        f"The request is larger than the {max_bytes} bytes that this server accepts. Upload pictures "
        "once with imageUpload, or give them by URL.",
    )


async def read_tasks(message: bytes) -> list[object]:
    """The tasks of a request body or a socket message, not yet validated.

    Raises:
        TaskError: it is not JSON, or not an array of tasks.
    """
    if len(message) > LARGE_BYTES:
        return await asyncio.to_thread(_tasks, message)
    return _tasks(message)


def _tasks(message: bytes) -> list[object]:
    # In slices: each count runs in one go, with the interpreter's lock held.
    values = 0
    for start in range(0, len(message), _COUNT_BYTES):
        part = message[start : start + _COUNT_BYTES]
        values += part.count(b",") + part.count(b"[") + part.count(b"{")
    if values > MAX_JSON_VALUES:
        raise TaskError("valueTooLarge", f"The request holds more than {MAX_JSON_VALUES} values.")
    try:
        body = json.loads(message, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as failure:
        reason = "it is nested too deeply" if isinstance(failure, RecursionError) else str(failure)
        raise TaskError("invalidJson", f"The request is not valid JSON: {reason}.") from None
    return parse_request(body)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")
