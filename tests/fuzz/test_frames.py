"""WebSocket messages of any kind are answered; the long form is `python -m tests.fuzz frames`."""

from collections import Counter
from pathlib import Path

import pytest

from tests.fuzz.frames import expected_answers, fuzz_frames
from tests.fuzz.server import painting_server


@pytest.mark.timeout(600)
def test_any_message_is_answered_in_the_shape_of_the_api(tmp_path: Path) -> None:
    sent = 0

    def count() -> None:
        nonlocal sent
        sent += 1

    with painting_server(tmp_path) as server:
        fuzz_frames(server.websocket_url, 150, on_example=count, derandomize=True)
        failures = list(server.failures)
    assert failures == []
    assert sent >= 150


def test_who_is_to_be_answered() -> None:
    assert expected_answers('[{"taskType": "ping"}, {"taskType": "x", "taskUUID": "a"}, 3]') == Counter(
        {"ping": 1, "a": 1, None: 1}
    )
    assert expected_answers("[") == expected_answers(b"[]") == expected_answers("[]") == Counter({None: 1})
