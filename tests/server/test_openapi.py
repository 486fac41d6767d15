"""The OpenAPI document says what there is."""

import dataclasses
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from underpaint.server.openapi import openapi_document
from underpaint.wire import ITEM_TYPES, TASK_MODELS, ImageResult, parse_task
from underpaint.wire.result_schema import item_name
from underpaint.wire.results import FoundModel

from .conftest import Running


async def test_the_document_is_served(http: httpx.AsyncClient) -> None:
    reply = await http.get("/openapi.json")
    assert reply.status_code == 200
    assert reply.json() == openapi_document()


def test_it_has_every_place_of_the_server(inside: Running) -> None:
    served = {
        (route.path, method.lower())
        for route in inside.app.routes
        if isinstance(route, Route)
        for method in set(route.methods or ()) - {"HEAD"}
    }
    described = {
        # The parameter's name is the API's in the document, and Python's in the server.
        (path.replace("{taskUUID}", "{task_uuid}"), method)
        for path, methods in openapi_document()["paths"].items()
        for method in methods
    }
    assert served - described == {("/v1/", "get"), ("/v1/", "post")}, "the alias of /v1"
    assert described <= served


def test_it_has_every_task_and_result() -> None:
    schemas = openapi_document()["components"]["schemas"]
    assert {model.__name__ for model in TASK_MODELS.values()} <= schemas.keys()
    assert {each.__name__ for each in ITEM_TYPES} <= schemas.keys()


@pytest.mark.parametrize("result_type", [*ITEM_TYPES, FoundModel])
def test_the_schema_of_a_result_has_the_names_that_the_result_has(result_type: type[Any]) -> None:
    filled: dict[str, Any] = {
        field.name: 0.0 if "float" in str(field.type) else () for field in dataclasses.fields(result_type)
    }
    schema = openapi_document()["components"]["schemas"][result_type.__name__]
    assert set(result_type(**filled).item()) == set(schema["properties"])
    least = {
        field.name: filled[field.name]
        for field in dataclasses.fields(result_type)
        if field.default is dataclasses.MISSING
    }
    assert set(result_type(**least).item()) == set(schema["required"])


def test_names_are_those_of_the_wire() -> None:
    assert item_name("image_data_uri") == "imageDataURI"
    assert item_name("image_base64_data") == "imageBase64Data"
    assert item_name("nsfw_content") == "NSFWContent"
    assert {item_name(field.name) for field in dataclasses.fields(ImageResult)} >= {"imageURL", "taskUUID"}


def test_the_examples_are_valid_tasks() -> None:
    body = openapi_document()["paths"]["/v1"]["post"]["requestBody"]["content"]["application/json"]
    for name, example in body["examples"].items():
        [task] = example["value"]
        assert parse_task(task).task_type == name
