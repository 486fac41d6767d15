"""Tasks as the official clients put them on the wire, recorded from the unmodified clients."""

import json

import pytest

from underpaint.wire import (
    AuthenticationTask,
    GetResponseTask,
    GetTaskDetailsTask,
    ImageInferenceTask,
    ImageUploadTask,
    MediaStorageTask,
    ModelSearchTask,
    PingTask,
    Task,
    parse_request,
    parse_task,
)

SEED_IMAGE = "c64351d5-4c59-42f7-95e1-eace013eddab"
DATA_URI = "data:image/png;base64,iVBORw0KGgo="
A_CAT = {
    "model": "runware:101@1",
    "positive_prompt": "a cat",
    "negative_prompt": "dog",
    "seed_image": SEED_IMAGE,
    "strength": 0.6,
    "width": 512,
    "height": 512,
    "steps": 20,
    "scheduler": "Euler",
    "seed": 7,
    "cfg_scale": 7.0,
    "clip_skip": 1,
}


def a_cat(**more: object) -> ImageInferenceTask:
    return ImageInferenceTask.model_validate(A_CAT | more)


# PyPI runware 0.5.24
RUNWARE: list[tuple[str, Task]] = [
    (
        """[{"taskType": "authentication", "apiKey": "k"}]""",
        AuthenticationTask(api_key="k"),
    ),
    (
        """[{"taskType": "ping", "ping": true}]""",
        PingTask(),
    ),
    (
        """[{"taskType": "imageInference", "taskUUID": "237de453-2a3a-4e08-af99-2404f74b0c8c",
        "model": "runware:101@1", "deliveryMethod": "sync", "numberResults": 2, "positivePrompt": "a cat",
        "outputType": ["URL", "base64Data"], "outputFormat": "PNG", "negativePrompt": "dog",
        "seedImage": "c64351d5-4c59-42f7-95e1-eace013eddab", "strength": 0.6, "height": 512, "width": 512,
        "steps": 20, "scheduler": "Euler", "seed": 7, "CFGScale": 7.0, "clipSkip": 1, "includeCost": true,
        "outputQuality": 90, "useCache": false, "ttl": 3600, "fit": "cover",
        "inputs": {"seedImage": "c64351d5-4c59-42f7-95e1-eace013eddab"},
        "safety": {"checkContent": true, "mode": "none"}}]""",
        a_cat(
            task_uuid="237de453-2a3a-4e08-af99-2404f74b0c8c",
            number_results=2,
            output_type=("URL", "base64Data"),
            output_format="PNG",
            output_quality=90,
            include_cost=True,
            ttl_s=3600,
            fit="cover",
        ),
    ),
    (
        """[{"taskType": "imageInference", "taskUUID": "cae21723-14b4-474c-ac53-c0aedd285280",
        "model": "runware:101@1", "deliveryMethod": "sync", "numberResults": 1, "positivePrompt": "a",
        "height": 512, "width": 512}]""",
        ImageInferenceTask(
            task_uuid="cae21723-14b4-474c-ac53-c0aedd285280",
            model="runware:101@1",
            positive_prompt="a",
            width=512,
            height=512,
        ),
    ),
    (
        """[{"taskUUID": "ed16a41f-8be9-4c08-b28a-5ba0c2c3f785", "taskType": "modelSearch", "tags": ["a"],
        "search": "x", "category": "checkpoint", "architecture": "sd1x", "limit": 20, "offset": 0}]""",
        ModelSearchTask(
            task_uuid="ed16a41f-8be9-4c08-b28a-5ba0c2c3f785",
            tags=("a",),
            search="x",
            category="checkpoint",
            architecture="sd1x",
        ),
    ),
    (
        """[{"taskType": "mediaStorage", "taskUUID": "916f447f-dd65-4ef8-845a-0fd4e632a20d",
        "operation": "upload", "media": "https://example.com/x.png"}]""",
        MediaStorageTask(
            task_uuid="916f447f-dd65-4ef8-845a-0fd4e632a20d",
            operation="upload",
            media="https://example.com/x.png",
        ),
    ),
]

# PyPI runware-sdk 1.8.0
RUNWARE_SDK: list[tuple[str, Task]] = [
    (
        """[{"model": "runware:101@1", "positivePrompt": "a cat", "negativePrompt": "dog",
        "inputs": {"seedImage": "c64351d5-4c59-42f7-95e1-eace013eddab"}, "strength": 0.6, "width": 512,
        "height": 512, "steps": 20, "scheduler": "Euler", "seed": 7, "CFGScale": 7, "clipSkip": 1,
        "taskType": "imageInference", "taskUUID": "de4b4225-1588-4485-b570-6eda7805ec53",
        "deliveryMethod": "async"}]""",
        a_cat(task_uuid="de4b4225-1588-4485-b570-6eda7805ec53", delivery_method="async"),
    ),
    (
        """[{"taskType": "getResponse", "taskUUID": "de4b4225-1588-4485-b570-6eda7805ec53"}]""",
        GetResponseTask(task_uuid="de4b4225-1588-4485-b570-6eda7805ec53"),
    ),
    (
        """[{"image": "data:image/png;base64,iVBORw0KGgo=", "taskType": "imageUpload",
        "taskUUID": "6cf23fc9-7c8e-4b6a-9149-0494be315c52"}]""",
        ImageUploadTask(task_uuid="6cf23fc9-7c8e-4b6a-9149-0494be315c52", image=DATA_URI),
    ),
    (
        """[{"search": "x", "limit": 5, "visibility": "public", "taskType": "modelSearch",
        "taskUUID": "5b8e2015-c4e5-4ab8-bb9a-c3ff67b79f00"}]""",
        ModelSearchTask(
            task_uuid="5b8e2015-c4e5-4ab8-bb9a-c3ff67b79f00", search="x", limit=5, visibility="public"
        ),
    ),
]

# npm @runware/sdk-js 1.3.2
SDK_JS: list[tuple[str, Task]] = [
    (
        """[{"apiKey":"k","taskType":"authentication"}]""",
        AuthenticationTask(api_key="k"),
    ),
    (
        """[{"taskType":"imageInference","model":"runware:101@1","positivePrompt":"a cat",
        "negativePrompt":"dog","height":512,"width":512,"numberResults":1,"outputType":"URL",
        "outputFormat":"PNG","checkNSFW":false,"strength":0.6,"CFGScale":7,"clipSkip":1,
        "usePromptWeighting":false,"steps":20,"seed":7,"scheduler":"Euler","includeCost":true,
        "seedImage":"c64351d5-4c59-42f7-95e1-eace013eddab","outputQuality":90,"ttl":3600,
        "deliveryMethod":"sync","taskUUID":"663949ed-38b1-423c-86b9-09fd5537793e"}]""",
        a_cat(
            task_uuid="663949ed-38b1-423c-86b9-09fd5537793e",
            output_format="PNG",
            output_quality=90,
            include_cost=True,
            ttl_s=3600,
        ),
    ),
    (
        """[{"image":"data:image/png;base64,iVBORw0KGgo=","taskType":"imageUpload",
        "taskUUID":"476c23e2-cc64-4e88-9915-0af044d74280"}]""",
        ImageUploadTask(task_uuid="476c23e2-cc64-4e88-9915-0af044d74280", image=DATA_URI),
    ),
    (
        """[{"media":"data:image/png;base64,iVBORw0KGgo=","operation":"upload","taskType":"mediaStorage",
        "taskUUID":"94f43475-633e-453f-a175-df7ba498287c"}]""",
        MediaStorageTask(
            task_uuid="94f43475-633e-453f-a175-df7ba498287c", operation="upload", media=DATA_URI
        ),
    ),
    (
        """[{"search":"x","limit":5,"taskType":"modelSearch",
        "taskUUID":"d53a297b-f373-469c-9e31-3e0db2d6f3d1"}]""",
        ModelSearchTask(task_uuid="d53a297b-f373-469c-9e31-3e0db2d6f3d1", search="x", limit=5),
    ),
    (
        """[{"taskType":"getTaskDetails","taskUUID":"b8c4d952-7f27-4a6e-bc9a-83f01d1c6d59"}]""",
        GetTaskDetailsTask(task_uuid="b8c4d952-7f27-4a6e-bc9a-83f01d1c6d59"),
    ),
]

# npm @runware/ai-sdk-provider 2.0.0
AI_SDK: list[tuple[str, Task]] = [
    (
        """[{"taskType":"imageInference","taskUUID":"6c7ca07e-dd05-4a21-b71e-11aa0af2d3e2",
        "positivePrompt":"a cat","width":512,"height":512,"model":"runware:101@1","numberResults":1,"seed":7,
        "outputType":"URL","outputFormat":"PNG","outputQuality":95,"checkNSFW":false,"includeCost":false,
        "negativePrompt":"dog","steps":20,"scheduler":"Euler","CFGScale":7,"clipSkip":1,"promptWeighting":"",
        "seedImage":"c64351d5-4c59-42f7-95e1-eace013eddab","strength":0.6}]""",
        a_cat(task_uuid="6c7ca07e-dd05-4a21-b71e-11aa0af2d3e2", output_format="PNG"),
    ),
]


@pytest.mark.parametrize(
    ("sent", "task"),
    [
        pytest.param(sent, task, id=f"{client} {task.task_type}")
        for client, tasks in (
            ("runware", RUNWARE),
            ("runware-sdk", RUNWARE_SDK),
            ("sdk-js", SDK_JS),
            ("ai-sdk-provider", AI_SDK),
        )
        for sent, task in tasks
    ],
)
def test_what_a_client_sends_is_read_as_it_is_meant(sent: str, task: Task) -> None:
    (raw,) = parse_request(json.loads(sent))
    assert parse_task(raw) == task
