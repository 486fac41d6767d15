import json
import logging
import sys

import httpx
import pytest

from underpaint.server.logs import JsonFormatter, TextFormatter

from .conftest import image_task


def record(message: str, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("underpaint.server", logging.INFO, __file__, 1, message, (), None)
    made.created, made.msecs = 0.0, 0.0
    made.__dict__.update(fields)
    return made


def test_text_lines_carry_the_fields() -> None:
    line = TextFormatter().format(record("task: success", taskUUID="a-1", seconds=0.5))
    assert line == "1970-01-01T00:00:00.000Z info underpaint.server: task: success taskUUID=a-1 seconds=0.5"


def test_json_lines_carry_the_fields() -> None:
    line = json.loads(JsonFormatter().format(record("task: success", taskUUID="a-1", code=None)))
    assert line == {
        "time": "1970-01-01T00:00:00.000Z",
        "level": "info",
        "logger": "underpaint.server",
        "message": "task: success",
        "taskUUID": "a-1",
    }


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_a_client_cannot_forge_a_line(formatter: logging.Formatter) -> None:
    line = formatter.format(record("with\nbreak", taskUUID="x\n2026 info root: all is well " + "y" * 1000))
    assert "\n" not in line
    assert len(line) < 500


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_exceptions_are_shown(formatter: logging.Formatter) -> None:
    failed = record("failed")
    try:
        raise RuntimeError("the reason")
    except RuntimeError:
        failed.exc_info = sys.exc_info()
    assert "the reason" in formatter.format(failed)


async def test_no_line_holds_a_prompt_or_a_key(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "underpaint"):
        await http.post(
            "/",
            json=[image_task("uuid-1", "a private prompt"), image_task("uuid-2", "bad strength")],
            headers={"Authorization": "Bearer private-key"},
        )
    lines = [JsonFormatter().format(one) for one in caplog.records]
    assert any("uuid-1" in line for line in lines)
    assert any("invalidStrength" in line for line in lines)
    assert not any("private" in line for line in lines)
