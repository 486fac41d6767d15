"""Every official client, unmodified, in its own environment, does its daily work against a real server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import KeyedServer
from .official_clients import OfficialClient, Report
from .pictures import assert_made_from, change_between, decode, fetch, picture_of

# The first test that needs a client installs it.
pytestmark = pytest.mark.timeout(1800)

WITHOUT_AI_SDK = ["runware", "runware-sdk-rest", "runware-sdk-websocket", "sdk-js"]

# How each client words a refused parameter. runware-sdk replaces the server's code by a category.
REFUSED: dict[str, dict[str, Any]] = {
    "runware": {"type": "RunwareAPIError", "code": "invalid{Parameter}"},
    "runware-sdk-rest": {"type": "RunwareError", "code": "validation", "status_code": 400},
    "runware-sdk-websocket": {"type": "RunwareError", "code": "validation"},
    "sdk-js": {"type": "Object", "code": "invalid{Parameter}"},
    "ai-sdk-provider": {"type": "AI_APICallError", "code": "invalid{Parameter}", "status_code": 400},
}

# How each client words a key that the server does not know.
UNKNOWN_KEY: dict[str, dict[str, Any]] = {
    "runware": {"type": "ConnectionError"},
    "runware-sdk-rest": {"type": "RunwareError", "code": "auth", "status_code": 401},
    "runware-sdk-websocket": {"type": "RunwareError", "code": "auth"},
    "sdk-js": {"type": "Object", "code": "invalidApiKey", "parameter": "apiKey"},
    "ai-sdk-provider": {"type": "AI_APICallError", "code": "invalidApiKey", "status_code": 401},
}


def result_format(client_name: str) -> str:
    """Return the format of results when the caller names none: the AI SDK's provider asks for PNG."""
    return "PNG" if client_name == "ai-sdk-provider" else "JPEG"


def test_is_the_release_that_people_install(client: OfficialClient, report: Report) -> None:
    assert report.client == client.release


def test_an_upload_gets_a_uuid_and_a_readable_address(report: Report, photo: Path) -> None:
    uploaded = report.outcome("upload")

    assert uploaded["imageUUID"] in uploaded["imageURL"]
    stored = decode(fetch(uploaded["imageURL"]).content)
    assert change_between(stored, decode(photo.read_bytes())) < 3


def test_transforms_an_uploaded_photo(client_name: str, report: Report, photo: Path) -> None:
    [result] = report.outcome("transform_by_uuid")["results"]

    assert_made_from(photo, picture_of(result), size=(256, 256), format_name=result_format(client_name))


def test_transforms_a_photo_sent_inside_the_task(client_name: str, report: Report, photo: Path) -> None:
    [result] = report.outcome("transform_inline")["results"]

    assert result["seed"] == 20260101
    assert_made_from(photo, picture_of(result), size=(256, 256), format_name=result_format(client_name))


def test_three_results_are_three_pictures_with_consecutive_seeds(
    client_name: str, report: Report, photo: Path
) -> None:
    results = report.outcome("three_results")["results"]

    assert sorted(result["seed"] for result in results) == [500, 501, 502]
    assert len({result["imageUUID"] for result in results}) == 3
    assert len({result["taskUUID"] for result in results}) == 1
    pictures = [picture_of(result) for result in results]
    assert len(set(pictures)) == 3
    for picture in pictures:
        assert_made_from(photo, picture, size=(256, 256), format_name=result_format(client_name))


def test_base64_output_is_the_picture_itself(report: Report, photo: Path) -> None:
    [result] = report.outcome("base64_output")["results"]

    assert result.get("imageURL") is None
    assert_made_from(photo, picture_of(result), size=(256, 256), format_name="PNG")


def test_a_result_is_the_seed_image_of_a_second_pass(client_name: str, report: Report, photo: Path) -> None:
    passes = report.outcome("second_pass")
    [first], [second] = passes["first"], passes["results"]

    assert first["imageUUID"] != second["imageUUID"]
    assert_made_from(photo, picture_of(second), size=(320, 192), format_name=result_format(client_name))


@pytest.mark.parametrize(
    ("scenario", "parameter"), [("bad_parameter", "strength"), ("bad_prompt", "positivePrompt")]
)
def test_a_refused_parameter_reaches_the_caller(
    client_name: str, report: Report, scenario: str, parameter: str
) -> None:
    error = report.error(scenario)

    code = f"invalid{parameter[0].upper()}{parameter[1:]}"
    expected = {
        key: code if value == "invalid{Parameter}" else value for key, value in REFUSED[client_name].items()
    }
    assert {key: error[key] for key in expected} == expected
    assert error["parameter"] == parameter
    # The AI SDK shows only this text to most of its users.
    if client_name == "ai-sdk-provider":
        assert code in error["text"]


def test_an_unknown_key_reaches_the_caller(
    client_name: str, client: OfficialClient, keyed_server: KeyedServer, photo: Path, tmp_path: Path
) -> None:
    report = client.run(keyed_server.url, "not-the-key", photo, tmp_path, "transform_inline")

    error = report.error("transform_inline")
    expected = UNKNOWN_KEY[client_name]
    assert {key: error[key] for key in expected} == expected
    assert "key" in error["text"].lower()


def test_a_known_key_opens_the_server(
    client_name: str, client: OfficialClient, keyed_server: KeyedServer, photo: Path, tmp_path: Path
) -> None:
    report = client.run(keyed_server.url, keyed_server.key, photo, tmp_path, "transform_inline")

    [result] = report.outcome("transform_inline")["results"]
    assert_made_from(photo, picture_of(result), size=(256, 256), format_name=result_format(client_name))


def test_every_client_gets_the_same_picture(report_of: Callable[[str], Report]) -> None:
    pictures = {
        name: picture_of(report_of(name).outcome("transform_inline")["results"][0]) for name in WITHOUT_AI_SDK
    }

    assert len(set(pictures.values())) == 1, {name: hash(picture) for name, picture in pictures.items()}


@pytest.mark.parametrize("client_name", WITHOUT_AI_SDK)
def test_finds_the_embedded_model(report: Report) -> None:
    found = report.outcome("model_search")

    assert found["totalResults"] == len(found["results"]) >= 1
    embedded = next(model for model in found["results"] if model["air"] == "underpaint:1@2")
    assert embedded["category"] == "checkpoint"
    assert isinstance(embedded["tags"], list)
    assert embedded["private"] is False


@pytest.mark.parametrize("client_name", WITHOUT_AI_SDK)
def test_media_storage_is_a_way_to_upload_too(client_name: str, report: Report, photo: Path) -> None:
    stored = report.outcome("media_storage")

    [result] = stored["results"]
    assert_made_from(photo, picture_of(result), size=(256, 256))
    if client_name != "runware":  # It has no method to delete, and keeps only the UUID.
        assert stored["deleted"]["mediaUUID"] == stored["uploaded"]["mediaUUID"]
        assert stored["uploaded"]["mediaUUID"] in stored["uploaded"]["mediaURL"]


@pytest.mark.parametrize("client_name", WITHOUT_AI_SDK)
def test_a_bad_task_does_not_disturb_the_tasks_beside_it(
    client_name: str, report: Report, photo: Path
) -> None:
    first, refused, third = report.outcome("at_the_same_time")["outcomes"]

    assert refused["parameter"] == "strength"
    for outcome, seed in ((first, 7), (third, 8)):
        [result] = outcome["results"]
        assert result["seed"] == seed
        assert_made_from(photo, picture_of(result), size=(256, 256))
