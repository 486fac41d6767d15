"""Reference images: their two places and two forms, and the size that they may stand for."""

from typing import Any

import pytest

from tests.wire.test_image_inference import MINIMAL, inference, refusal
from underpaint.wire.reference_images import MAX_REFERENCE_IMAGES

WITHOUT_SIZE = {name: value for name, value in MINIMAL.items() if name not in ("width", "height")}


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"referenceImages": []}, ()),
        ({"referenceImages": ["a"]}, ("a",)),
        ({"referenceImages": ["a", "b"]}, ("a", "b")),
        ({"referenceImages": ["x"] * MAX_REFERENCE_IMAGES}, ("x",) * MAX_REFERENCE_IMAGES),
        ({"referenceImages": [{"image": "a"}, "b"]}, ("a", "b")),
        ({"referenceImages": [{"image": "a", "role": None, "strength": 0, "tag": ""}]}, ("a",)),
        ({"inputs": {"referenceImages": ["a", {"image": "b"}]}}, ("a", "b")),
        ({"inputs": {"referenceImages": ["a"]}, "referenceImages": ["a"]}, ("a",)),
        ({"inputs": {"referenceImages": ["a"]}, "referenceImages": []}, ("a",)),
        ({"inputs": {"referenceImages": []}, "referenceImages": ["a"]}, ("a",)),
    ],
)
def test_they_are_read_from_either_place_and_in_either_form(given: dict[str, Any], read: object) -> None:
    assert inference(**given).reference_images == read


@pytest.mark.parametrize(
    ("given", "code", "parameter"),
    [
        ({"referenceImages": [{}]}, "missingReferenceImagesImage", "referenceImages[0].image"),
        (
            {"referenceImages": ["a", {"image": None}]},
            "missingReferenceImagesImage",
            "referenceImages[1].image",
        ),
        ({"referenceImages": [{"img": "a"}]}, "unknownParameter", "referenceImages[0].img"),
        (
            {"referenceImages": ["a", {"image": "a", "role": "style"}]},
            "unsupportedParameter",
            "referenceImages[1].role",
        ),
        ({"inputs": {"referenceImages": [{"image": 3}]}}, "invalidReferenceImages", "referenceImages"),
        (
            {"inputs": {"referenceImages": ["a"]}, "referenceImages": ["b"]},
            "incompatibleParameters",
            ["referenceImages", "inputs.referenceImages"],
        ),
        ({"inputs": {"references": ["a"]}}, "unsupportedParameter", "inputs.references"),
    ],
)
def test_what_is_no_picture_is_refused_with_its_place(
    given: dict[str, Any], code: str, parameter: object
) -> None:
    error = refusal(MINIMAL | given)
    assert (error["code"], error["parameter"]) == (code, parameter)


def test_both_sides_may_be_left_to_them() -> None:
    task = inference(**{**WITHOUT_SIZE, "width": None, "height": None, "referenceImages": ["a"]})
    assert (task.width, task.height) == (0, 0)


@pytest.mark.parametrize(
    ("given", "code", "parameter"),
    [
        ({"width": 512}, "missingHeight", "height"),
        ({"height": 512}, "missingWidth", "width"),
        ({"width": 0, "height": 0}, "invalidWidth", "width"),
        ({"referenceImages": []}, "missingDimensionParameters", ["width", "height"]),
    ],
)
def test_one_side_may_not(given: dict[str, Any], code: str, parameter: object) -> None:
    error = refusal({**WITHOUT_SIZE, "referenceImages": ["a"], **given})
    assert (error["code"], error["parameter"]) == (code, parameter)
