import json

import pytest

from underpaint.wire import (
    MAX_TASKS,
    TASK_MODELS,
    ControlNetPreprocessTask,
    ImageInferenceTask,
    UpscaleTask,
    json_schema,
)


def test_every_task_type_is_in_the_schema_with_its_parameters() -> None:
    schema = json_schema()
    assert schema["type"] == "array"
    assert schema["maxItems"] == MAX_TASKS
    mapping = schema["items"]["discriminator"]["mapping"]
    assert set(mapping) == {*TASK_MODELS, "imageUpscale", "imageControlNetPreProcess"}
    for task_type, model in TASK_MODELS.items():
        definition = schema["$defs"][mapping[task_type].removeprefix("#/$defs/")]
        assert set(model.wire_names()) <= set(definition["properties"])
        named = definition["properties"]["taskType"]
        assert named["type"] == "string"
        assert task_type in named.get("enum", [named.get("const")])
        assert "taskType" in definition["required"]
        assert definition["description"].endswith(".")


def test_ranges_and_defaults_are_in_the_schema() -> None:
    properties = json_schema()["$defs"][ImageInferenceTask.__name__]["properties"]
    assert properties["steps"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 100,
        "description": "denoising steps; default: the model's",
    }
    assert (properties["width"]["minimum"], properties["width"]["maximum"]) == (128, 2048)
    assert properties["width"]["multipleOf"] == 64
    assert properties["strength"]["default"] == 0.8
    assert "DPM++ 2M Karras" in properties["scheduler"]["enum"]
    assert properties["inputs"]["properties"].keys() == {
        "seedImage",
        "maskImage",
        "mask",
        "referenceImages",
    }


@pytest.mark.parametrize("model", [ImageInferenceTask, UpscaleTask, ControlNetPreprocessTask])
def test_every_task_that_makes_pictures_takes_one_form_of_them_or_several(model: type[object]) -> None:
    one = {"type": "string", "enum": ["URL", "base64Data", "dataURI"]}
    described = json_schema()["$defs"][model.__name__]["properties"]["outputType"]
    assert described == {
        "oneOf": [one, {"type": "array", "items": one}],
        "default": ["URL"],
        "description": "the form of the results; one or a list",
    }


def test_members_that_no_definition_has_are_described_where_they_stand() -> None:
    properties = json_schema()["$defs"][ImageInferenceTask.__name__]["properties"]
    for name in ("inputs", "safety"):
        assert all(member["description"] for member in properties[name]["properties"].values())


def test_the_schema_speaks_of_no_nulls() -> None:
    assert "null" not in json.dumps(json_schema())


def test_references_can_point_into_an_openapi_document() -> None:
    schema = json_schema(ref_template="#/components/schemas/{model}")
    assert {"$ref": "#/components/schemas/ImageInferenceTask"} in schema["items"]["oneOf"]
