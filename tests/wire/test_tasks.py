import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from underpaint.wire import (
    MAX_TASKS,
    TASK_MODELS,
    AuthenticationTask,
    CancelTask,
    GetResponseTask,
    GetTaskDetailsTask,
    ImageInferenceTask,
    ImageUploadTask,
    MediaStorageTask,
    ModelSearchTask,
    PingTask,
    Task,
    TaskError,
    find_error_code,
    parse_request,
    parse_task,
    task_identity,
)
from underpaint.wire.parameters import IGNORED_OUTSIDE_INFERENCE, IGNORED_PARAMETERS, says_nothing

TASK_UUID = "b8c4d952-7f27-4a6e-bc9a-83f01d1c6d59"


def refusal(raw: object) -> dict[str, object]:
    with pytest.raises(TaskError) as caught:
        parse_task(raw)
    return caught.value.item(task_uuid=None, task_type=None)


# A request


def test_a_request_is_its_tasks() -> None:
    assert parse_request([{"taskType": "ping"}, 7]) == [{"taskType": "ping"}, 7]


def test_a_single_task_object_is_a_request_of_one() -> None:
    assert parse_request({"taskType": "ping"}) == [{"taskType": "ping"}]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (None, "invalidRequest"),
        ("ping", "invalidRequest"),
        (3.5, "invalidRequest"),
        ([], "arrayTooSmall"),
        ([{}] * (MAX_TASKS + 1), "maxTasksExceeded"),
    ],
)
def test_what_is_no_request(body: object, code: str) -> None:
    with pytest.raises(TaskError) as caught:
        parse_request(body)
    assert caught.value.code == code
    assert find_error_code(code) is not None


def test_a_request_may_hold_as_many_tasks_as_documented() -> None:
    assert len(parse_request([{}] * MAX_TASKS)) == MAX_TASKS == 100


# Task types


@pytest.mark.parametrize(
    ("raw", "task"),
    [
        ({"taskType": "authentication", "apiKey": "k"}, AuthenticationTask(api_key="k")),
        (
            {
                "taskType": "authentication",
                "apiKey": "k",
                "connectionSessionUUID": "s",
                "taskUUID": "ignored",
            },
            AuthenticationTask(api_key="k", connection_session_uuid="s"),
        ),
        ({"taskType": "ping", "ping": True}, PingTask()),
        ({"taskType": "ping"}, PingTask()),
        (
            {"taskType": "imageUpload", "taskUUID": TASK_UUID, "image": "data:image/png;base64,QQ=="},
            ImageUploadTask(task_uuid=TASK_UUID, image="data:image/png;base64,QQ=="),
        ),
        (
            {"taskType": "mediaStorage", "taskUUID": TASK_UUID, "operation": "upload", "media": "QQ=="},
            MediaStorageTask(task_uuid=TASK_UUID, operation="upload", media="QQ=="),
        ),
        (
            {"taskType": "mediaStorage", "taskUUID": TASK_UUID, "operation": "delete", "media": "c64351d5"},
            MediaStorageTask(task_uuid=TASK_UUID, operation="delete", media="c64351d5"),
        ),
        ({"taskType": "getResponse", "taskUUID": TASK_UUID}, GetResponseTask(task_uuid=TASK_UUID)),
        ({"taskType": "getTaskDetails", "taskUUID": TASK_UUID}, GetTaskDetailsTask(task_uuid=TASK_UUID)),
        ({"taskType": "cancelTask", "taskUUID": TASK_UUID}, CancelTask(task_uuid=TASK_UUID)),
        (
            {"taskType": "modelSearch", "taskUUID": TASK_UUID},
            ModelSearchTask(task_uuid=TASK_UUID, visibility="all", limit=20, offset=0),
        ),
        (
            {
                "taskType": "modelSearch",
                "taskUUID": TASK_UUID,
                "search": "tiny",
                "tags": ["photo", "paint"],
                "category": "checkpoint",
                "type": "base",
                "architecture": "sd1x",
                "conditioning": "canny",
                "visibility": "public",
                "sort": "-name",
                "source": "community",
                "capabilities": ["image-to-image"],
                "limit": 100,
                "offset": 200.0,
            },
            ModelSearchTask(
                task_uuid=TASK_UUID,
                search="tiny",
                tags=("photo", "paint"),
                category="checkpoint",
                type="base",
                architecture="sd1x",
                conditioning="canny",
                visibility="public",
                sort="-name",
                source="community",
                capabilities=("image-to-image",),
                limit=100,
                offset=200,
            ),
        ),
    ],
    ids=lambda case: type(case).__name__,
)
def test_a_task_is_read(raw: dict[str, object], task: Task) -> None:
    assert parse_task(raw) == task


@pytest.mark.parametrize(
    ("changes", "code", "parameter"),
    [
        ({"taskType": "authentication"}, "missingApiKey", "apiKey"),
        ({"taskType": "authentication", "apiKey": ""}, "invalidApiKey", "apiKey"),
        ({"taskType": "authentication", "apiKey": 7}, "invalidApiKey", "apiKey"),
        ({"taskType": "ping", "ping": "yes"}, "invalidPing", "ping"),
        ({"taskType": "imageUpload"}, "missingImage", "image"),
        ({"taskType": "imageUpload", "image": ""}, "invalidImage", "image"),
        ({"taskType": "imageUpload", "image": "x", "taskUUID": None}, "missingTaskUUID", "taskUUID"),
        ({"taskType": "imageUpload", "image": "x", "imgae": "x"}, "unknownParameter", "imgae"),
        (
            {"taskType": "imageUpload", "image": "x", "webhookURL": "http://h"},
            "unsupportedParameter",
            "webhookURL",
        ),
        ({"taskType": "mediaStorage", "media": "x"}, "missingOperation", "operation"),
        ({"taskType": "mediaStorage", "media": "x", "operation": "move"}, "invalidOperation", "operation"),
        ({"taskType": "mediaStorage", "operation": "upload"}, "missingMedia", "media"),
        ({"taskType": "getResponse", "taskUUID": None}, "missingTaskUUID", "taskUUID"),
        ({"taskType": "getTaskDetails", "taskUUID": "a b"}, "invalidTaskUUID", "taskUUID"),
        ({"taskType": "cancelTask", "taskUUID": None}, "missingTaskUUID", "taskUUID"),
        ({"taskType": "modelSearch", "limit": 0}, "invalidLimit", "limit"),
        ({"taskType": "modelSearch", "limit": 101}, "invalidLimit", "limit"),
        ({"taskType": "modelSearch", "offset": -1}, "invalidOffset", "offset"),
        ({"taskType": "modelSearch", "offset": 2**31}, "invalidOffset", "offset"),
        ({"taskType": "modelSearch", "tags": "photo"}, "invalidTags", "tags"),
        ({"taskType": "modelSearch", "tags": [1]}, "invalidTags", "tags"),
        ({"taskType": "modelSearch", "tags": ["x"] * 101}, "invalidTags", "tags"),
        ({"taskType": "modelSearch", "search": 1}, "invalidSearch", "search"),
        ({"taskType": "modelSearch", "search": "x" * 1001}, "invalidSearch", "search"),
        ({"taskType": "modelSearch", "category": "photo"}, "invalidCategory", "category"),
        ({"taskType": "modelSearch", "type": "photo"}, "invalidType", "type"),
        ({"taskType": "modelSearch", "architecture": 1}, "invalidArchitecture", "architecture"),
        ({"taskType": "modelSearch", "conditioning": []}, "invalidConditioning", "conditioning"),
        ({"taskType": "modelSearch", "visibility": "secret"}, "invalidVisibility", "visibility"),
        ({"taskType": "modelSearch", "sort": "age"}, "invalidSort", "sort"),
        ({"taskType": "modelSearch", "source": "us"}, "invalidSource", "source"),
        ({"taskType": "modelSearch", "capabilities": {}}, "invalidCapabilities", "capabilities"),
        ({"taskType": None}, "missingTaskType", "taskType"),
        ({"taskType": 7}, "invalidTaskType", "taskType"),
        ({"taskType": ""}, "unsupportedTaskType", "taskType"),
        ({"taskType": "videoInference"}, "unsupportedTaskType", "taskType"),
    ],
    ids=lambda case: str(case)[:60],
)
def test_a_task_is_refused(changes: dict[str, object], code: str, parameter: str) -> None:
    error = refusal({"taskUUID": TASK_UUID} | changes)
    assert (error["code"], error["parameter"]) == (code, parameter)
    assert find_error_code(code) is not None


@pytest.mark.parametrize("raw", [None, 7, "ping", [], [{"taskType": "ping"}]])
def test_what_is_no_object_is_no_task(raw: object) -> None:
    assert refusal(raw) == {"code": "invalidTask", "message": "A task must be an object.", "type": "object"}


def test_an_almost_right_task_type_is_recognised() -> None:
    error = refusal({"taskType": "ImageInference", "taskUUID": TASK_UUID})
    assert error["message"] == (
        "This server has no task of type 'ImageInference'. Did you mean 'imageInference'?"
    )
    assert error["allowedValues"] == list(TASK_MODELS)


@pytest.mark.parametrize("parameter", [*IGNORED_PARAMETERS, *IGNORED_OUTSIDE_INFERENCE])
def test_what_clients_add_to_any_task_is_accepted(parameter: str) -> None:
    raw = {"taskType": "modelSearch", "taskUUID": TASK_UUID}
    assert parse_task(raw | {parameter: "x"}) == parse_task(raw)


# Identity


@pytest.mark.parametrize(
    ("raw", "identity"),
    [
        ({"taskType": "imageInference", "taskUUID": TASK_UUID}, ("imageInference", TASK_UUID)),
        ({"taskType": "nonsense", "taskUUID": "not valid!"}, ("nonsense", "not valid!")),
        ({"taskType": "authentication", "taskUUID": TASK_UUID}, ("authentication", None)),
        ({"taskType": "ping", "taskUUID": TASK_UUID}, ("ping", None)),
        ({"taskType": 7, "taskUUID": ["x"]}, (None, None)),
        ({"taskType": "", "taskUUID": "x" * 257}, (None, None)),
        ({"taskUUID": "\ud800"}, (None, "?")),
        ({}, (None, None)),
        ("ping", (None, None)),
        (None, (None, None)),
    ],
)
def test_an_error_echoes_what_it_can(raw: object, identity: tuple[str | None, str | None]) -> None:
    assert task_identity(raw) == identity


# What says nothing


@pytest.mark.parametrize("value", [None, False, 0, 0.0, "", [], {}, [None], {"a": None, "b": [{"c": 0}]}])
def test_a_value_that_says_nothing(value: object) -> None:
    assert says_nothing(value)


@pytest.mark.parametrize("value", [True, 1, "x", [[["x"]]], {"a": None, "b": {"c": 0.1}}])
def test_a_value_that_says_something(value: object) -> None:
    assert not says_nothing(value)


def nested(depth: int) -> object:
    value: object = None
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "parameter",
    ["lycoris", "seedImage", "steps", "outputType", "inputs", "safety", "acceleration", "taskUUID"],
)
def test_depth_beyond_what_python_recurses_to_is_no_danger(parameter: str) -> None:
    raw = {"taskType": "imageInference", "taskUUID": TASK_UUID, "model": "runware:101@1", "positivePrompt": "x",
           "width": 512, "height": 512}  # fmt: skip
    raw_deep: dict[str, object] = {**raw, parameter: nested(100_000)}
    if parameter == "lycoris":
        assert parse_task(raw_deep) == parse_task(raw)
    else:
        assert refusal(raw_deep)["parameter"] == parameter


# Anything at all


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["URL", "jpg", "runware:101@1", "Euler", TASK_UUID, "sync", "compel", "upload"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
names = sorted(
    {
        name
        for model in TASK_MODELS.values()
        for name in (*model.wire_names(), *model.ignored, *model.unsupported)
    }
    | {"inputs", "safety"}
)
almost_tasks = st.dictionaries(st.sampled_from(names) | st.text(max_size=8), json_values, max_size=8)
complete: dict[str, object] = {
    "taskUUID": TASK_UUID, "model": "runware:101@1", "positivePrompt": "x", "width": 512, "height": 512,
}  # fmt: skip


def assert_read_or_refused(raw: object) -> None:
    task, refused = None, None
    try:
        task = parse_task(raw)
    except TaskError as error:
        refused = error
    if refused is None:
        assert task is not None
        assert isinstance(raw, dict)
        assert task.task_type == raw["taskType"]
        return
    assert find_error_code(refused.code) is not None
    task_type, task_uuid = task_identity(raw)
    item = refused.item(task_uuid=task_uuid, task_type=task_type)
    assert None not in item.values()
    json.dumps(item, ensure_ascii=False).encode()


@given(json_values)
def test_any_json_is_a_task_or_an_error(raw: object) -> None:
    assert_read_or_refused(raw)


@given(st.sampled_from(list(TASK_MODELS)), almost_tasks)
def test_any_object_of_a_known_task_type_is_a_task_or_an_error(
    task_type: str, parameters: dict[str, object]
) -> None:
    assert_read_or_refused({**parameters, "taskType": task_type})


@given(st.sampled_from(names), json_values)
def test_any_value_of_any_parameter_is_read_or_refused(name: str, value: object) -> None:
    assert_read_or_refused({"taskType": "imageInference", **complete, name: value})


@given(st.floats(0, 1), st.integers(1, 100), st.integers(2, 32), st.integers(1, 2**63 - 1), st.floats(0, 50))
def test_numbers_in_range_arrive_as_they_were_sent(
    strength: float, steps: int, width_in_64: int, seed: int, cfg_scale: float
) -> None:
    raw = complete | {
        "taskType": "imageInference",
        "strength": strength,
        "steps": steps,
        "width": 64 * width_in_64,
        "seed": seed,
        "CFGScale": cfg_scale,
    }
    task = parse_task(json.loads(json.dumps(raw)))
    assert isinstance(task, ImageInferenceTask)
    read = (task.strength, task.steps, task.width, task.seed, task.cfg_scale)
    assert read == (strength, steps, 64 * width_in_64, seed, cfg_scale)
