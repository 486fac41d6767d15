"""From the bytes of a request to its tasks, within bounds."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from pydantic_core import from_json

from underpaint.blocking import in_thread
from underpaint.wire import TaskError, parse_request

LARGE_BYTES = 2 * 2**20
"""Above this, JSON is read in a thread, so that the event loop stays free. Up to it, that takes some 0.3
ms where most of it is a picture, as changing threads does."""
MAX_JSON_VALUES = 200_000
"""The bytes of a picture are one value, and no honest request has many. Reading costs time and memory by the
value: 60 MB of `[],[],[],...` take gigabytes and seconds, in C code that lets no other thread run."""
BODY_PAUSE_S = 30.0
"""Longest wait for the next part of a body."""
SLOWEST_BYTES_PER_S = 10 * 2**10
"""A body that is slower than this on the whole, after the first `BODY_PAUSE_S`, is given up."""
BODIES_AT_ONCE = 4
"""Bodies of the largest size that may be in memory before they are whole: nobody has yet asked who sends them."""
_COUNT_BYTES = 2**20


class BodyReader:
    """Collects request bodies, all of a server's within one budget.

    Args:
        max_bytes: where to stop with one body, whatever its client says.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held_bytes = 0

    async def read(self, parts: AsyncIterator[bytes], declared_bytes: int | None) -> bytes | bytearray:
        """Collect one body.

        Args:
            parts: the body as it arrives.
            declared_bytes: what the client says its length is, None when it does not.

        Raises:
            TaskError: it is too large, the client stopped sending or is too slow, or too many bodies are being read.
        """
        if declared_bytes is not None and declared_bytes > self._max_bytes:
            raise too_large(self._max_bytes)
        loop = asyncio.get_running_loop()
        # Most come in one part, which is kept as it is.
        body: bytes | bytearray = b""
        began_s = loop.time()
        try:
            async with asyncio.timeout(BODY_PAUSE_S) as limit:
                async for part in parts:
                    if body and isinstance(body, bytes):
                        body = bytearray(body)
                    body += part
                    self._held_bytes += len(part)
                    if len(body) > self._max_bytes:
                        raise too_large(self._max_bytes)
                    if self._held_bytes > BODIES_AT_ONCE * self._max_bytes:
                        raise TaskError(
                            "serviceUnavailable", "Too much is being sent to the server; try again later."
                        )
                    patience_s = BODY_PAUSE_S + len(body) / SLOWEST_BYTES_PER_S
                    limit.reschedule(min(loop.time() + BODY_PAUSE_S, began_s + patience_s))
            return body
        except TimeoutError:
            message = f"The request stopped arriving, or takes longer than {SLOWEST_BYTES_PER_S} bytes/s."
            raise TaskError("invalidRequest", message, status_code=408) from None
        finally:
            self._held_bytes -= len(body)


def too_large(max_bytes: int) -> TaskError:
    """The error for a request over the limit."""
    return TaskError(
        "valueTooLarge",
        f"The request is larger than the {max_bytes} bytes that this server accepts. Upload pictures "
        "once with imageUpload, or give them by URL.",
    )


async def read_tasks(message: bytes | bytearray) -> list[object]:
    """The tasks of a request body or a socket message, not yet validated.

    Raises:
        TaskError: it is not JSON, or not an array of tasks.
    """
    if len(message) > LARGE_BYTES:
        return await in_thread(_tasks, message)
    return _tasks(message)


def _tasks(message: bytes | bytearray) -> list[object]:
    # In slices: each count runs in one go, with the interpreter's lock held. Each value takes a byte at least.
    values = 0
    for start in range(0, len(message) if len(message) > MAX_JSON_VALUES else 0, _COUNT_BYTES):
        part = message[start : start + _COUNT_BYTES]
        values += part.count(b",") + part.count(b"[") + part.count(b"{")
    if values > MAX_JSON_VALUES:
        raise TaskError("valueTooLarge", f"The request holds more than {MAX_JSON_VALUES} values.")
    try:
        body = _json(message)
    except (ValueError, RecursionError) as failure:
        reason = "it is nested too deeply" if isinstance(failure, RecursionError) else str(failure)
        raise TaskError("invalidJson", f"The request is not valid JSON: {reason}.") from None
    return parse_request(body)


def _json(message: bytes | bytearray) -> Any:
    """What a message says. Raises `ValueError` and `RecursionError`."""
    try:
        # A picture of 256 x 256 is read in a third of the time that `json` takes for it.
        return from_json(message, allow_inf_nan=False, cache_strings="none")
    except ValueError:
        # It refuses more: half of an emoji, which JavaScript leaves of a text that it cuts, must not cost all tasks of
        # a request their answers. And `json` says better where it stumbles.
        return json.loads(message, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")
