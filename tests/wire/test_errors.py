import ast
from pathlib import Path

import pytest

import underpaint.wire
from underpaint.wire import ERROR_CODES, TaskError, find_error_code
from underpaint.wire.errors import parameter_code


def test_an_error_item_has_what_is_known() -> None:
    error = TaskError(
        "invalidOutputFormat",
        "Not that.",
        parameter="outputFormat",
        type="string",
        allowed_values=["JPG", "PNG"],
    )
    assert error.item(task_uuid="u", task_type="imageInference") == {
        "code": "invalidOutputFormat",
        "message": "Not that.",
        "parameter": "outputFormat",
        "type": "string",
        "allowedValues": ["JPG", "PNG"],
        "taskUUID": "u",
        "taskType": "imageInference",
    }


def test_an_error_item_has_no_nulls() -> None:
    assert TaskError("inferenceError", "It broke.").item(task_uuid=None, task_type=None) == {
        "code": "inferenceError",
        "message": "It broke.",
    }


def test_several_parameters_fail_together() -> None:
    error = TaskError("missingDimensionParameters", "Which size?", parameter=["width", "height"])
    assert error.item(task_uuid="u", task_type=None)["parameter"] == ["width", "height"]


@pytest.mark.parametrize(
    ("code", "status_code"),
    [
        ("invalidSteps", 400),
        ("missingModel", 400),
        ("invalidApiKey", 401),
        ("missingApiKey", 401),
        ("insufficientPermissions", 403),
        ("taskNotFound", 404),
        ("conflictTaskUUID", 400),
        ("rateLimitExceeded", 429),
        ("noAvailableServer", 503),
        ("inferenceTimeout", 504),
        ("internalServerError", 500),
    ],
)
def test_the_status_follows_from_the_code(code: str, status_code: int) -> None:
    assert TaskError(code, "").status_code == status_code


def test_a_status_can_be_given() -> None:
    assert TaskError("invalidSeedImage", "", status_code=413).status_code == 413


def test_a_failure_of_an_accepted_task_does_not_make_clients_send_it_again() -> None:
    for code in ("inferenceError", "downloadFailed", "conflictTaskUUID"):
        assert ERROR_CODES[code].status_code not in {408, 429}
        assert ERROR_CODES[code].status_code < 500


def test_every_code_is_documented_in_a_sentence() -> None:
    for code, documented in ERROR_CODES.items():
        assert find_error_code(code) is documented
        assert documented.description.endswith(".")
        assert 400 <= documented.status_code < 600


def test_every_code_in_the_source_is_documented() -> None:
    used = {
        call.args[0].value
        for path in Path(underpaint.wire.__file__).parents[1].rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "TaskError"
        if isinstance(call.args[0], ast.Constant)
    }
    assert "incompatibleParameters" in used
    assert {code for code in used if find_error_code(str(code)) is None} == set()


def test_an_undocumented_code_is_told_apart() -> None:
    assert find_error_code("somethingElse") is None
    assert find_error_code("invalid") is None


def test_the_code_of_a_parameter_is_spelled_from_its_name() -> None:
    assert parameter_code("invalid", "CFGScale") == "invalidCFGScale"
    assert parameter_code("missing", "positivePrompt") == "missingPositivePrompt"
    assert parameter_code("invalid", "safety.mode") == "invalidSafetyMode"


def test_text_that_utf8_cannot_carry_does_not_break_the_reply() -> None:
    item = TaskError("unknownParameter", "\ud800", parameter="a\udfff").item(
        task_uuid="\ud800", task_type="\ud800"
    )
    assert item == {
        "code": "unknownParameter",
        "message": "?",
        "parameter": "a?",
        "taskUUID": "?",
        "taskType": "?",
    }
