"""Asynchronous delivery: an acknowledgement first, the results by polling."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from .official_clients import Report
from .pictures import assert_made_from, fetch, picture_of

# The first test that needs a client installs it.
pytestmark = pytest.mark.timeout(1800)

RUNWARE_SDK = ["runware-sdk-rest", "runware-sdk-websocket"]


def test_runware_polls_without_losing_a_polling_period(
    report_of: Callable[[str], Report], photo: Path
) -> None:
    # This client drops an item that says "processing", waits 30 s for another, and only then polls again.
    delivered = report_of("runware").outcome("asynchronous")

    assert delivered["acknowledgement"]["taskType"] == "imageInference"
    assert len({result["imageUUID"] for result in delivered["results"]}) == 2
    assert delivered["asynchronous_s"] < 2 * delivered["synchronous_s"] + 20
    for result in delivered["results"]:
        assert result["status"] == "success"
        assert_made_from(photo, picture_of(result), size=(512, 512))


@pytest.mark.parametrize("name", RUNWARE_SDK)
def test_runware_sdk_polls_by_default(report_of: Callable[[str], Report], name: str, photo: Path) -> None:
    delivered = report_of(name).outcome("asynchronous")

    assert sorted(result["seed"] for result in delivered["results"]) == [500, 501]
    for result in delivered["results"]:
        assert result["status"] == "success"
        assert_made_from(photo, picture_of(result), size=(256, 256))


@pytest.mark.parametrize("name", RUNWARE_SDK)
def test_a_bad_asynchronous_task_is_refused_at_once(report_of: Callable[[str], Report], name: str) -> None:
    error = report_of(name).error("bad_parameter_asynchronous")

    assert (error["code"], error["parameter"]) == ("validation", "strength")


@pytest.mark.parametrize("name", RUNWARE_SDK)
def test_a_finished_task_can_be_asked_for_again(report_of: Callable[[str], Report], name: str) -> None:
    asked = report_of(name).outcome("response_and_details")

    [result], [again], [details] = asked["results"], asked["response"], asked["details"]
    assert again["status"] == "success"
    assert again["taskType"] == "imageInference"
    assert again["imageUUID"] == result["imageUUID"]
    assert details["taskUUID"] == asked["taskUUID"]
    assert details["request"][0]["positivePrompt"] == "a snowy winter evening, oil painting"
    assert details["response"]["data"][0]["imageUUID"] == result["imageUUID"]


@pytest.mark.parametrize("name", RUNWARE_SDK)
def test_a_seed_image_may_lie_under_inputs(
    report_of: Callable[[str], Report], name: str, photo: Path
) -> None:
    [result] = report_of(name).outcome("transform_under_inputs")["results"]

    assert_made_from(photo, picture_of(result), size=(256, 256))


def test_sdk_js_leaves_the_polling_to_its_caller(report_of: Callable[[str], Report], photo: Path) -> None:
    delivered = report_of("sdk-js").outcome("asynchronous")

    [acknowledgement] = delivered["acknowledgement"]
    assert set(acknowledgement) == {"taskType", "taskUUID"}
    assert sorted(result["seed"] for result in delivered["results"]) == [500, 501]
    for result in delivered["results"]:
        assert_made_from(photo, picture_of(result), size=(256, 256))


def test_sdk_js_reads_task_details(report_of: Callable[[str], Report]) -> None:
    asked = report_of("sdk-js").outcome("task_details")

    assert asked["details"]["response"]["data"][0]["imageUUID"] == asked["results"][0]["imageUUID"]


def test_ai_sdk_hands_over_the_bytes_at_the_address(report_of: Callable[[str], Report]) -> None:
    outcome = report_of("ai-sdk-provider").outcome("three_results")

    pictures = [base64.b64decode(picture["base64"]) for picture in outcome["downloaded"]]
    assert pictures == [fetch(result["imageURL"]).content for result in outcome["results"]]
    assert {picture["mediaType"] for picture in outcome["downloaded"]} == {"image/png"}


def test_ai_sdk_sends_three_requests_at_once(report_of: Callable[[str], Report], photo: Path) -> None:
    results = report_of("ai-sdk-provider").outcome("three_requests")["results"]

    assert len({result["taskUUID"] for result in results}) == 3
    assert len({result["seed"] for result in results}) == 3
    for result in results:
        assert_made_from(photo, picture_of(result), size=(256, 256), format_name="PNG")


def test_ai_sdk_reads_the_cost(report_of: Callable[[str], Report]) -> None:
    [result] = report_of("ai-sdk-provider").outcome("with_cost")["results"]

    assert isinstance(result["cost"], int | float)
