"""What the clients do around a transformation: guide images, ControlNets, and larger pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .official_clients import Report
from .pictures import change_between, decode, fetch, likeness_between, picture_of

# The first test that needs a client installs it.
pytestmark = pytest.mark.timeout(1800)

ReportOf = Callable[[str], Report]


def guide_image_of(result: dict[str, Any]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return the pixels of a guide image."""
    assert result["guideImageUUID"] in result["guideImageURL"]
    return np.asarray(decode(fetch(result["guideImageURL"]).content).convert("L"))


@pytest.mark.parametrize("name", ["sdk-js", "runware-sdk-rest", "runware-sdk-websocket"])
def test_guide_images_are_made_of_a_photo(report_of: ReportOf, name: str) -> None:
    edges, soft = (guide_image_of(result) for result in report_of(name).outcome("preprocess")["results"])

    assert edges.shape == soft.shape == (128, 192)
    assert set(np.unique(edges)) == {0, 255}
    assert 0.02 < (edges == 255).mean() < 0.5
    assert len(np.unique(soft)) > 50


def test_sdk_js_says_which_preprocessors_there_are(report_of: ReportOf) -> None:
    error = report_of("sdk-js").error("bad_preprocess")

    assert (error["code"], error["parameter"]) == ("invalidPreProcessorType", "preProcessorType")


@pytest.mark.parametrize("name", ["runware", "sdk-js"])
def test_a_picture_is_made_larger(report_of: ReportOf, name: str, photo: Path) -> None:
    upscaled = report_of(name).outcome("upscale")
    [result] = upscaled["results"]

    assert result["inputImageUUID"] == upscaled["inputImageUUID"]
    small, large = decode(photo.read_bytes()), decode(picture_of(result))
    assert large.size == (2 * small.width, 2 * small.height)
    assert change_between(large.resize(small.size), small) < 4
    assert likeness_between(large, small) > 0.99


def test_what_runware_says_of_a_map_is_understood(report_of: ReportOf) -> None:
    """Only the ControlNet is missing: the preprocessor beside the map is no reason to refuse it."""
    error = report_of("runware").error("control_net_canny")

    assert error["parameter"] == "controlNet[0].model"
