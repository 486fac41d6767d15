import json
from typing import Protocol

import pytest

from underpaint.wire import (
    Acknowledgement,
    AuthenticationResult,
    CancelResult,
    FoundModel,
    ImageResult,
    MediaDeleteResult,
    MediaUploadResult,
    ModelSearchResult,
    PictureProgress,
    Pong,
    ProcessingStatus,
    TaskDetailsResult,
    UploadResult,
)


class Result(Protocol):
    def item(self) -> dict[str, object]: ...


MODEL = FoundModel(
    air="underpaint:1@2",
    name="Tiny",
    version="1",
    category="checkpoint",
    architecture="sd1x",
    default_cfg=7.0,
)
MODEL_ITEM = {
    "air": "underpaint:1@2",
    "name": "Tiny",
    "version": "1",
    "category": "checkpoint",
    "architecture": "sd1x",
    "tags": [],
    "heroImage": "",
    "private": False,
    "comment": "",
    "defaultCFG": 7.0,
}

CASES: list[tuple[Result, dict[str, object]]] = [
    (
        ImageResult(task_uuid="t", image_uuid="i", seed=5120148993590679312, image_url="http://h/i.jpg"),
        {
            "taskType": "imageInference",
            "taskUUID": "t",
            "imageUUID": "i",
            "imageURL": "http://h/i.jpg",
            "seed": 5120148993590679312,
        },
    ),
    (
        ImageResult(
            task_uuid="t",
            image_uuid="i",
            seed=1,
            image_base64_data="QQ==",
            image_data_uri="data:image/png;base64,QQ==",
            nsfw_content=False,
            cost=0.0,
            effective_steps=0,
            status="success",
        ),
        {
            "taskType": "imageInference",
            "taskUUID": "t",
            "imageUUID": "i",
            "imageBase64Data": "QQ==",
            "imageDataURI": "data:image/png;base64,QQ==",
            "seed": 1,
            "NSFWContent": False,
            "cost": 0.0,
            "effectiveSteps": 0,
            "status": "success",
        },
    ),
    (
        UploadResult(task_uuid="t", image_uuid="i", image_url="http://h/i.png"),
        {"taskType": "imageUpload", "taskUUID": "t", "imageUUID": "i", "imageURL": "http://h/i.png"},
    ),
    (
        MediaUploadResult(task_uuid="t", media_uuid="i", media_url="http://h/i.png"),
        {
            "taskType": "mediaStorage",
            "taskUUID": "t",
            "operation": "upload",
            "mediaUUID": "i",
            "mediaURL": "http://h/i.png",
        },
    ),
    (
        MediaDeleteResult(task_uuid="t", media_uuid="i"),
        {"taskType": "mediaStorage", "taskUUID": "t", "operation": "delete", "mediaUUID": "i"},
    ),
    (
        Acknowledgement(task_type="imageInference", task_uuid="t"),
        {"taskType": "imageInference", "taskUUID": "t"},
    ),
    (
        ProcessingStatus(task_type="imageInference", task_uuid="t"),
        {"taskType": "imageInference", "taskUUID": "t", "status": "processing"},
    ),
    (
        ProcessingStatus(task_type="imageInference", task_uuid="t", progress=0),
        {"taskType": "imageInference", "taskUUID": "t", "status": "processing", "progress": 0},
    ),
    (
        ProcessingStatus(task_type="imageInference", task_uuid="t", progress=40, seconds_left=1.2499),
        {
            "taskType": "imageInference",
            "taskUUID": "t",
            "status": "processing",
            "progress": 40,
            "secondsLeft": 1.2,
        },
    ),
    (
        PictureProgress(task_uuid="t", result_index=0, status="queued", position=0),
        {
            "taskType": "imageInference",
            "taskUUID": "t",
            "resultIndex": 0,
            "status": "queued",
            "position": 0,
        },
    ),
    (
        PictureProgress(
            task_uuid="t",
            result_index=1,
            status="running",
            step=3,
            steps=20,
            seconds_left=7.06,
            preview_data_uri="data:image/jpeg;base64,AAAA",
        ),
        {
            "taskType": "imageInference",
            "taskUUID": "t",
            "resultIndex": 1,
            "status": "running",
            "step": 3,
            "steps": 20,
            "secondsLeft": 7.1,
            "previewDataURI": "data:image/jpeg;base64,AAAA",
        },
    ),
    (
        CancelResult(task_uuid="t", status="cancelled"),
        {"taskType": "cancelTask", "taskUUID": "t", "status": "cancelled"},
    ),
    (
        ModelSearchResult(task_uuid="t", total_results=41, results=[MODEL]),
        {"taskType": "modelSearch", "taskUUID": "t", "totalResults": 41, "results": [MODEL_ITEM]},
    ),
    (
        TaskDetailsResult(task_uuid="t", request=[{"taskType": "ping"}], response={"data": []}),
        {
            "taskType": "getTaskDetails",
            "taskUUID": "t",
            "request": [{"taskType": "ping"}],
            "response": {"data": []},
        },
    ),
    (
        AuthenticationResult(connection_session_uuid="s"),
        {"taskType": "authentication", "connectionSessionUUID": "s"},
    ),
    (Pong(), {"taskType": "ping", "pong": True}),
]


@pytest.mark.parametrize(("result", "item"), CASES, ids=lambda case: type(case).__name__)
def test_the_item_on_the_wire(result: Result, item: dict[str, object]) -> None:
    assert result.item() == item
    assert "null" not in json.dumps(result.item())
    assert not {"code", "error", "errorId"} & result.item().keys(), "one client would take it for an error"
