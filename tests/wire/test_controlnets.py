"""Every parameter of controlNet: what is accepted, what is refused, and what goes together."""

from typing import Any

import pytest

from tests.wire.test_image_inference import MINIMAL, REAL, TEXT, WHOLE, inference, refusal
from underpaint.wire import ControlNet, TaskError

GIVEN: dict[str, Any] = {"model": "civitai:38784@44716", "guideImage": "x"}
PLAIN = ControlNet(model="civitai:38784@44716", guide_image="x")

REFUSED: list[tuple[str, str, list[Any]]] = [
    ("model", "string", ["", "canny", "runware:25", *TEXT]),
    ("guideImage", "string", ["", 7, True, ["x"], {"x": 1}]),
    ("weight", "float", [-0.01, 1.01, *REAL]),
    ("startStep", "integer", [-1, 101, *WHOLE]),
    ("startStepPercentage", "integer", [-1, 100, *WHOLE]),
    ("endStep", "integer", [-1, 0, 101, *WHOLE]),
    ("endStepPercentage", "integer", [-1, 0, 101, *WHOLE]),
    ("controlMode", "string", ["", "Balanced", "control", *TEXT]),
    ("preprocessor", "string", ["Canny", "edges", *TEXT]),
    ("lowThresholdCanny", "integer", [-1, 256, *WHOLE]),
    ("highThresholdCanny", "integer", [-1, 256, *WHOLE]),
    ("includeHandsAndFaceOpenPose", "boolean", ["", "true", 1, [True]]),
]


@pytest.mark.parametrize(
    ("parameter", "type_name", "value"),
    [(parameter, type_name, value) for parameter, type_name, values in REFUSED for value in values],
    ids=lambda case: str(case)[:40],
)
def test_what_is_out_of_range_is_refused(parameter: str, type_name: str, value: object) -> None:
    error = refusal(MINIMAL | {"controlNet": [GIVEN, {**GIVEN, parameter: value}]})
    assert error["code"] == "invalidControlNet" + parameter[0].upper() + parameter[1:]
    assert error["parameter"] == f"controlNet[1].{parameter}"
    assert error["type"] == type_name


def test_every_parameter_has_its_range_checked() -> None:
    assert set(ControlNet.wire_names()) == {parameter for parameter, _, _ in REFUSED}


FROM_PYTHON = {
    **GIVEN,
    "weight": None,
    "startStep": None,
    "endStep": None,
    "startStepPercentage": None,
    "endStepPercentage": None,
    "controlMode": None,
}
"""As the official client sends it: every key of its type, unset ones as null."""


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (None, ()),
        ([], ()),
        ([GIVEN], (PLAIN,)),
        ([FROM_PYTHON], (PLAIN,)),
        (
            [{**FROM_PYTHON, "lowThresholdCanny": None, "highThresholdCanny": None, "preprocessor": None}],
            (PLAIN,),
        ),
        ([{**GIVEN, "includeHandsAndFaceOpenPose": False, "preprocessor": ""}], (PLAIN,)),
        # IControlNetCanny and IControlNetOpenPose of the Python client say how the map was made.
        (
            [
                {
                    **FROM_PYTHON,
                    "lowThresholdCanny": 90,
                    "highThresholdCanny": 180.0,
                    "preprocessor": "canny",
                }
            ],
            (
                PLAIN.model_copy(
                    update={
                        "low_threshold_canny": 90,
                        "high_threshold_canny": 180,
                        "preprocessor": "canny",
                    }
                ),
            ),
        ),
        (
            [{**FROM_PYTHON, "includeHandsAndFaceOpenPose": True, "preprocessor": "openpose_full"}],
            (
                PLAIN.model_copy(
                    update={"include_hands_and_face_open_pose": True, "preprocessor": "openpose_full"}
                ),
            ),
        ),
        # As the JavaScript client sends it.
        (
            [{**GIVEN, "weight": 0.5, "controlMode": "controlnet"}],
            (PLAIN.model_copy(update={"weight": 0.5, "control_mode": "controlnet"}),),
        ),
        (
            [GIVEN, {**GIVEN, "model": "urn:air:sd1:controlnet:civitai:38784@44876", "weight": 0}],
            (PLAIN, PLAIN.model_copy(update={"model": "civitai:38784@44876", "weight": 0.0})),
        ),
        ([GIVEN] * 8, (PLAIN,) * 8),
        ([{**GIVEN, "controlMode": "prompt"}], (PLAIN.model_copy(update={"control_mode": "prompt"}),)),
    ],
)
def test_they_are_accepted(given: object, read: object) -> None:
    assert inference(controlNet=given).control_net == read


SPANS: list[tuple[dict[str, object], tuple[float, float]]] = [
    ({}, (0.0, 1.0)),
    ({"startStep": 0}, (0.0, 1.0)),
    ({"startStep": 1}, (0.0, 1.0)),
    ({"startStep": 1.0, "endStep": 20.0}, (0.0, 1.0)),
    ({"startStep": 0, "endStep": 1}, (0.0, 0.05)),
    ({"startStep": 1, "endStep": 2}, (0.0, 0.1)),
    ({"startStep": 11, "endStep": 15}, (0.5, 0.75)),
    ({"startStep": 20}, (0.95, 1.0)),
    ({"endStep": 5}, (0.0, 0.25)),
    ({"startStepPercentage": 50, "endStepPercentage": 75}, (0.5, 0.75)),
    ({"startStepPercentage": 0, "endStepPercentage": 1}, (0.0, 0.01)),
    ({"startStepPercentage": 99}, (0.99, 1.0)),
    ({"startStep": 11, "endStepPercentage": 75}, (0.5, 0.75)),
    ({"startStepPercentage": 50, "endStep": 15}, (0.5, 0.75)),
    # A zero says the same as nothing.
    ({"startStep": 0, "startStepPercentage": 50}, (0.5, 1.0)),
    ({"startStep": 11, "startStepPercentage": 0}, (0.5, 1.0)),
    ({"startStep": 0, "startStepPercentage": 0}, (0.0, 1.0)),
]


@pytest.mark.parametrize(("said", "span"), SPANS)
def test_when_they_act(said: dict[str, object], span: tuple[float, float]) -> None:
    [read] = inference(controlNet=[{**GIVEN, **said}]).control_net
    assert read.shares(20, name="controlNet[0]") == span


@pytest.mark.parametrize(
    ("said", "member"),
    [
        ({"startStep": 21}, "startStep"),
        ({"endStep": 21}, "endStep"),
        ({"startStep": 21, "endStep": 30}, "startStep"),
        ({"startStep": 5, "endStep": 5}, "endStep"),
        ({"startStep": 1, "endStep": 1}, "endStep"),
        ({"startStep": 15, "endStep": 5}, "endStep"),
        ({"startStepPercentage": 50, "endStepPercentage": 50}, "endStepPercentage"),
        ({"startStepPercentage": 60, "endStepPercentage": 50}, "endStepPercentage"),
        ({"startStep": 11, "endStepPercentage": 50}, "endStepPercentage"),
        ({"startStepPercentage": 50, "endStep": 10}, "endStep"),
    ],
)
def test_a_span_that_is_none_is_refused(said: dict[str, object], member: str) -> None:
    [read] = inference(controlNet=[{**GIVEN, **said}]).control_net
    with pytest.raises(TaskError) as refused:
        read.shares(20, name="controlNet[3]")
    assert refused.value.parameter == f"controlNet[3].{member}"
    assert refused.value.code == "invalidControlNet" + member[0].upper() + member[1:]


@pytest.mark.parametrize(
    ("given", "code", "parameter"),
    [
        ({"guideImage": "x"}, "missingControlNetModel", "controlNet[1].model"),
        ({"model": "runware:25@1"}, "missingControlNetGuideImage", "controlNet[1].guideImage"),
        (
            {"model": "runware:25@1", "guideImage": None},
            "missingControlNetGuideImage",
            "controlNet[1].guideImage",
        ),
        ({**GIVEN, "startSteps": 1}, "unknownParameter", "controlNet[1].startSteps"),
        (
            {**GIVEN, "startStep": 3, "startStepPercentage": 10},
            "incompatibleParameters",
            ["controlNet[1].startStep", "controlNet[1].startStepPercentage"],
        ),
        (
            {**GIVEN, "endStep": 3, "endStepPercentage": 10},
            "incompatibleParameters",
            ["controlNet[1].endStep", "controlNet[1].endStepPercentage"],
        ),
    ],
)
def test_what_is_missing_or_does_not_go_together(
    given: dict[str, object], code: str, parameter: object
) -> None:
    error = refusal(MINIMAL | {"controlNet": [GIVEN, given]})
    assert (error["code"], error["parameter"]) == (code, parameter)
