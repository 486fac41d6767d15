"""Arbitrary WebSocket messages: every task in one is answered, in the shape of the API, and the connection lives."""

import itertools
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.fuzz.shape import check_frame
from tests.studio.conftest import encoded
from underpaint.wire import MAX_TASKS, TASK_MODELS, task_identity

ANSWER_LIMIT_S = 20.0
"""Within this time every answer is there, or the server hangs. The engine of the tests paints at once."""
LONGEST_JSON = 400_000
PICTURE = encoded((16, 16))
LAST_PING = json.dumps([{"taskType": "ping", "ping": True}])

Message = str | bytes | Sequence[str]
"""A message: text, bytes, or text in several fragments."""

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["", "underpaint:1@2", PICTURE, "sync", "async", "PNG", "__BLANK__", 0, 1, 64, 2**63, 1e300]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
task_types = st.sampled_from([*TASK_MODELS, "upscale", "Ping", ""]) | json_values
task_uuids = st.uuids().map(str) | st.sampled_from(["a", "b", "", "\x00", "x" * 65]) | json_values
parameter_names = st.sampled_from(
    sorted({name for model in TASK_MODELS.values() for name in (*model.wire_names(), *model.unsupported)})
)
VALID: Mapping[str, dict[str, Any]] = {
    "imageInference": {
        "model": "underpaint:1@2",
        "positivePrompt": "a cat",
        "seedImage": PICTURE,
        "width": 128,
        "height": 128,
        "steps": 4,
    },
    "imageUpload": {"image": PICTURE},
    "mediaStorage": {"operation": "upload", "media": PICTURE},
    "modelSearch": {"search": "underpaint"},
    "getResponse": {},
    "getTaskDetails": {},
    "cancelTask": {},
    "authentication": {"apiKey": "any"},
    "ping": {"ping": True},
}


@st.composite
def tasks(draw: st.DrawFn) -> object:
    """A valid task with some of its parameters replaced, removed or added; or an object with nothing right in it."""
    if draw(st.integers(0, 4)) == 0:
        return draw(json_values)
    kind = draw(st.sampled_from(sorted(VALID)))
    task: dict[str, Any] = {"taskType": kind, "taskUUID": str(draw(st.uuids())), **VALID[kind]}
    for change in draw(st.lists(st.sampled_from(["replace", "remove", "add", "type", "uuid"]), max_size=3)):
        name = draw(st.sampled_from(sorted(task))) if task else "taskType"
        match change:
            case "replace":
                task[name] = draw(json_values)
            case "remove":
                task.pop(name, None)
            case "add":
                task[draw(parameter_names | st.text(max_size=8))] = draw(json_values)
            case "type":
                task["taskType"] = draw(task_types)
            case "uuid":
                task["taskUUID"] = draw(task_uuids)
    return _small(task)


def _small(task: dict[str, Any]) -> dict[str, Any]:
    # Many or large pictures take long to encode, and show nothing that one small one does not.
    for name, most in (("width", 256), ("height", 256), ("numberResults", 3)):
        value = task.get(name)
        if isinstance(value, int | float) and most < value <= 2048:
            task[name] = most
    return task


def _in_fragments(text: str, places: list[int]) -> list[str]:
    bounds = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[start:end] for start, end in itertools.pairwise(bounds)] or [""]


texts = (
    st.lists(tasks(), min_size=1, max_size=4).map(json.dumps)
    | tasks().map(json.dumps)
    | json_values.map(json.dumps)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
    | st.sampled_from(
        ["[" * 50_000, '{"a":' * 50_000, "[" + "{}," * MAX_TASKS + "{}]", "[1e999]", "9" * 5000]
    )
    | st.sampled_from(['["\\ud800"]', '[{"taskUUID":"a","taskUUID":"b"}]', "\ufeff[]", "[]", " "])
)
messages: st.SearchStrategy[Message] = (
    texts
    | st.binary(max_size=200)
    | st.builds(_in_fragments, texts, st.lists(st.integers(0, 10_000), max_size=4))
)


def exchange(socket: ClientConnection, message: Message) -> None:
    """Send a message, read the answers to all that is in it, and see that the connection lives."""
    socket.send(message)
    missing = expected_answers(message)
    while missing:
        for key in _read(socket):
            missing.pop(key, None)
    socket.send(LAST_PING)
    while "ping" not in _read(socket):
        pass


def expected_answers(message: Message) -> Counter[str | None]:
    """Who is to be answered: tasks by their UUIDs, those without one by None."""
    text = message if isinstance(message, str | bytes) else "".join(message)
    try:
        body = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        body = None
    elements = [body] if isinstance(body, dict) else body
    if not isinstance(elements, list) or not 0 < len(elements) <= MAX_TASKS:
        return Counter({None: 1})
    expected: Counter[str | None] = Counter()
    for element in elements:
        task_type, task_uuid = task_identity(element)
        expected[task_type if task_type in ("ping", "authentication") else task_uuid] += 1
    if "authentication" in expected:
        # It can take the connection out of its session, to which the answers of the other tasks go.
        expected = Counter({"authentication": expected["authentication"]})
    return expected


def _read(socket: ClientConnection) -> list[str | None]:
    """The next frame, as the keys of those whom it answers."""
    text = socket.recv(ANSWER_LIMIT_S)
    assert isinstance(text, str)
    frame = json.loads(text)
    check_frame(frame)
    keys: list[str | None] = []
    for items in frame.values():
        for item in items:
            task_type = item.get("taskType")
            special = task_type in ("ping", "authentication")
            keys.append(task_type if special else item.get("taskUUID"))
    return keys


def fuzz_frames(
    url: str, max_examples: int, *, on_example: Callable[[], None] = lambda: None, derandomize: bool = False
) -> None:
    """Send that many messages, each on a connection of its own, before and after authentication.

    Raises:
        AssertionError: an answer has another shape, a task got none, or the server failed.
    """

    @settings(
        max_examples=max_examples,
        deadline=None,
        derandomize=derandomize,
        database=None,
        # Making an example of a hang smaller means to wait for many hangs.
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(message=messages, authenticated=st.integers(0, 3).map(bool))
    def run(message: Message, authenticated: bool) -> None:
        on_example()
        try:
            with connect(url, compression=None, max_size=None, ping_interval=None) as socket:
                if authenticated:
                    socket.send(json.dumps([{"taskType": "authentication", "apiKey": "any"}]))
                    assert _read(socket) == ["authentication"]
                exchange(socket, message)
        except (ConnectionClosed, TimeoutError, AssertionError) as failure:
            raise AssertionError(f"{failure!r} on {message!r}") from failure

    run()
