"""modelUpload as the clients send it."""

from typing import Any

import pytest

from underpaint.wire import ModelUploadTask, TaskError, parse_task

# What the Python client sends, with the nulls of its unset fields.
SENT: dict[str, Any] = {
    "taskType": "modelUpload",
    "taskUUID": "9a1c0c2e-0001-4f10-9b2c-3d4e5f607182",
    "air": "mine:7@1",
    "name": "Seven",
    "downloadURL": "https://models.example.com/seven.safetensors",
    "uniqueIdentifier": "seven",
    "version": "1",
    "format": "safetensors",
    "private": False,
    "category": "lora",
    "architecture": "sdxl",
    "retry": 3,
    "heroImageURL": None,
    "tags": [],
    "defaultWeight": 0.8,
}


def test_the_python_client_s_task_is_read() -> None:
    task = parse_task(SENT)

    assert isinstance(task, ModelUploadTask)
    assert (task.category, task.default_weight, task.private, task.hero_image_url) == (
        "lora",
        0.8,
        False,
        None,
    )


@pytest.mark.parametrize(
    ("name", "value", "attribute"),
    [("downloadUrl", "https://a.example/b", "download_url"), ("defaultGuidanceScale", 5.0, "default_cfg")],
)
def test_other_editions_spellings_are_read(name: str, value: object, attribute: str) -> None:
    sent = {key: kept for key, kept in SENT.items() if key != "downloadURL" or name != "downloadUrl"}

    assert getattr(parse_task({**sent, name: value}), attribute) == value


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("category", "video", "invalidCategory"),
        ("format", "pickle", "invalidFormat"),
        ("air", "no identifier", "invalidAir"),
        ("defaultSteps", 0, "invalidDefaultSteps"),
        ("defaultSteps", 101, "invalidDefaultSteps"),
        ("defaultCFG", 31, "invalidDefaultCFG"),
        ("defaultStrength", 1.1, "invalidDefaultStrength"),
        ("defaultWeight", -4.5, "invalidDefaultWeight"),
        ("defaultScheduler", "euler", "invalidDefaultScheduler"),
        ("type", "big", "invalidType"),
        ("tags", ["a"] * 101, "invalidTags"),
        ("comment", "x" * 1001, "invalidComment"),
        ("downloadURL", None, "missingDownloadURL"),
        ("architecture", None, "missingArchitecture"),
    ],
)
def test_each_parameter_out_of_range_is_one_error_that_names_it(name: str, value: object, code: str) -> None:
    with pytest.raises(TaskError) as refusal:
        parse_task({**SENT, name: value})

    assert (refusal.value.code, refusal.value.parameter) == (code, name)
