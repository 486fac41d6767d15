"""Every parameter of controlNetPreprocess: what is accepted and what is refused, with its name."""

from typing import get_args

import pytest

from underpaint.wire import ControlNetPreprocessTask, PreProcessorType, TaskError, parse_task

MINIMAL: dict[str, object] = {
    "taskType": "controlNetPreprocess",
    "taskUUID": "b8c4d952-7f27-4a6e-bc9a-83f01d1c6d59",
    "inputImage": "https://example.com/a.png",
    "preProcessorType": "canny",
}


def preprocess(**parameters: object) -> ControlNetPreprocessTask:
    task = parse_task(MINIMAL | parameters)
    assert isinstance(task, ControlNetPreprocessTask)
    return task


def refusal(**parameters: object) -> dict[str, object]:
    with pytest.raises(TaskError) as caught:
        parse_task({name: value for name, value in (MINIMAL | parameters).items() if value is not ...})
    assert caught.value.status_code == 400
    return caught.value.item(task_uuid=None, task_type=None)


def test_the_least_that_can_be_said() -> None:
    task = preprocess()
    assert (task.width, task.height, task.output_format) == (None, None, "JPG")
    assert (task.low_threshold_canny, task.high_threshold_canny) == (100, 200)


def test_the_name_of_the_javascript_client_is_kept() -> None:
    assert preprocess(taskType="imageControlNetPreProcess").task_type == "imageControlNetPreProcess"


@pytest.mark.parametrize("name", get_args(PreProcessorType))
def test_every_type_can_also_be_named_by_a_model(name: str) -> None:
    assert preprocess(preProcessorType=name).pre_processor_type == name
    by_model = preprocess(
        preProcessorType=None, model=f"runware:controlnet-preprocess@{name.replace('_', '-')}"
    )
    assert by_model.pre_processor_type == name


@pytest.mark.parametrize(
    ("parameters", "attribute", "expected"),
    [
        ({"preProcessorType": " Lineart-Anime "}, "pre_processor_type", "lineart_anime"),
        ({"inputImage": None, "inputs": {"image": "x"}}, "input_image", "x"),
        ({"inputs": {"image": MINIMAL["inputImage"]}}, "input_image", MINIMAL["inputImage"]),
        ({"model": "runware:controlnet-preprocess@canny"}, "pre_processor_type", "canny"),
        ({"model": ""}, "pre_processor_type", "canny"),
        ({"width": 16, "height": 2048.0}, "height", 2048),
        ({"width": 333}, "width", 333),
        ({"lowThresholdCanny": 0, "highThresholdCanny": 255}, "high_threshold_canny", 255),
        ({"lowThresholdCanny": 199}, "low_threshold_canny", 199),
        ({"preProcessorType": "depth", "lowThresholdCanny": 5}, "low_threshold_canny", 5),
        ({"includeHandsAndFaceOpenPose": False}, "include_hands_and_face_open_pose", False),
        # It changes nothing about edges.
        ({"includeHandsAndFaceOpenPose": True}, "include_hands_and_face_open_pose", True),
        ({"webhookURL": "", "uploadEndpoint": ""}, "webhook_url", None),
        ({"deliveryMethod": "async"}, "answered_at_once", True),
        ({"outputType": ["dataURI", "URL"], "retry": 2}, "output_type", ("dataURI", "URL")),
        ({"outputType": "URL", "numberResults": 1}, "output_type", ("URL",)),
    ],
)
def test_what_is_accepted(parameters: dict[str, object], attribute: str, expected: object) -> None:
    assert getattr(preprocess(**parameters), attribute) == expected


@pytest.mark.parametrize(
    ("parameters", "code", "parameter"),
    [
        ({"inputImage": ...}, "missingInputImage", "inputImage"),
        ({"inputImage": ""}, "invalidInputImage", "inputImage"),
        ({"preProcessorType": ...}, "missingPreProcessorType", "preProcessorType"),
        ({"preProcessorType": "depth_midas"}, "invalidPreProcessorType", "preProcessorType"),
        ({"preProcessorType": 3}, "invalidPreProcessorType", "preProcessorType"),
        ({"model": "runware:100@1"}, "invalidModel", "model"),
        ({"model": 7}, "invalidModel", "model"),
        (
            {"model": "runware:controlnet-preprocess@depth"},
            "incompatibleParameters",
            ["preProcessorType", "model"],
        ),
        ({"width": 15}, "invalidWidth", "width"),
        ({"height": 2049}, "invalidHeight", "height"),
        ({"lowThresholdCanny": -1}, "invalidLowThresholdCanny", "lowThresholdCanny"),
        ({"highThresholdCanny": 256}, "invalidHighThresholdCanny", "highThresholdCanny"),
        ({"lowThresholdCanny": "100"}, "invalidLowThresholdCanny", "lowThresholdCanny"),
        (
            {"lowThresholdCanny": 200},
            "incompatibleParameters",
            ["lowThresholdCanny", "highThresholdCanny"],
        ),
        (
            {"lowThresholdCanny": 90, "highThresholdCanny": 80},
            "incompatibleParameters",
            ["lowThresholdCanny", "highThresholdCanny"],
        ),
        (
            {"includeHandsAndFaceOpenPose": "yes"},
            "invalidIncludeHandsAndFaceOpenPose",
            "includeHandsAndFaceOpenPose",
        ),
        (
            {"preProcessorType": "openpose", "includeHandsAndFaceOpenPose": True},
            "unsupportedParameter",
            "includeHandsAndFaceOpenPose",
        ),
        ({"numberResults": 4}, "unsupportedParameter", "numberResults"),
        ({"inputs": "x"}, "invalidInputs", "inputs"),
        ({"inputs": {"image": "b"}}, "incompatibleParameters", ["inputImage", "inputs.image"]),
        ({"inputs": {"picture": "b"}}, "unknownParameter", "inputs.picture"),
        ({"outputFormat": "gif"}, "invalidOutputFormat", "outputFormat"),
        ({"positivePrompt": "x"}, "unknownParameter", "positivePrompt"),
    ],
)
def test_what_is_refused(parameters: dict[str, object], code: str, parameter: object) -> None:
    error = refusal(**parameters)
    assert (error["code"], error["parameter"]) == (code, parameter)


def test_the_types_are_listed_where_one_is_not_known() -> None:
    assert refusal(preProcessorType="hed")["allowedValues"] == list(get_args(PreProcessorType))
