"""Log lines, as text or as JSON, one event a line.

Above debug no line holds a prompt, a picture or a key. What comes from a client is quoted, so that it cannot
forge a line.
"""

import json
import logging
import sys
import time
from typing import Literal

LONGEST_FIELD = 200
FIELDS = ("taskUUID", "taskType", "code", "seconds", "client")
"""What a line can carry beside its message, given as `extra=`."""


def configure_logging(level: str, form: Literal["text", "json"]) -> None:
    """Send the log of the whole process to the standard error stream."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("underpaint").setLevel(level.upper())


def _fields(record: logging.LogRecord) -> dict[str, object]:
    found = {name: getattr(record, name, None) for name in FIELDS}
    return {
        name: value[:LONGEST_FIELD] if isinstance(value, str) else value
        for name, value in found.items()
        if value is not None
    }


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"


class TextFormatter(logging.Formatter):
    """`2026-11-23T20:00:00.000Z info underpaint.server.run: message taskUUID=...`."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_time(record)} {record.levelname.lower()} {record.name}: {_one_line(record.getMessage())}"
        for name, value in _fields(record).items():
            plain = isinstance(value, (int, float)) or all(c.isalnum() or c in "-_.:" for c in str(value))
            line += f" {name}={value if plain else json.dumps(value)}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message and the fields."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _one_line(text: str) -> str:
    return text.replace("\r", "\\r").replace("\n", "\\n")
