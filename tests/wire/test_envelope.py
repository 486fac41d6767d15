import json
from itertools import pairwise
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from underpaint.wire import frames, http_reply, progress_frames

SUCCESS: dict[str, object] = {"taskType": "imageInference", "taskUUID": "a"}
FAILURE: dict[str, object] = {"code": "invalidSteps", "message": "no", "taskUUID": "b"}
OTHER_FAILURE: dict[str, object] = {"code": "taskNotFound", "message": "none", "taskUUID": "c"}


def test_a_successful_reply_has_no_trace_of_errors() -> None:
    assert http_reply([SUCCESS], []) == (200, {"data": [SUCCESS]})


def test_a_request_that_asks_for_nothing_in_return_gets_an_empty_success() -> None:
    assert http_reply([], []) == (200, {"data": []})


def test_a_failed_request_has_the_status_of_its_first_error_and_names_it_twice() -> None:
    assert http_reply([], [(404, OTHER_FAILURE), (400, FAILURE)]) == (
        404,
        {"data": [], "errors": [OTHER_FAILURE, FAILURE], "error": OTHER_FAILURE},
    )


def test_one_success_makes_the_reply_a_success_that_still_tells_of_the_failures() -> None:
    assert http_reply([SUCCESS], [(400, FAILURE)]) == (200, {"data": [SUCCESS], "errors": [FAILURE]})


def test_results_that_fit_share_a_frame_and_errors_have_their_own() -> None:
    assert frames([SUCCESS, SUCCESS], [FAILURE, OTHER_FAILURE]) == [
        {"data": [SUCCESS, SUCCESS]},
        {"errors": [FAILURE, OTHER_FAILURE]},
    ]


def test_nothing_to_say_takes_no_frame() -> None:
    assert frames([], []) == []


def test_an_item_larger_than_a_frame_goes_alone() -> None:
    large: dict[str, object] = {"imageBase64Data": "A" * 500}
    assert frames([SUCCESS, large, SUCCESS], [], max_bytes=200) == [
        {"data": [SUCCESS]},
        {"data": [large]},
        {"data": [SUCCESS]},
    ]


def test_progress_has_neither_of_the_keys_that_clients_route_by() -> None:
    assert progress_frames([SUCCESS, SUCCESS]) == [{"progress": [SUCCESS, SUCCESS]}]
    large: dict[str, object] = {"previewDataURI": "A" * 500}
    assert progress_frames([large, large], max_bytes=600) == [{"progress": [large]}, {"progress": [large]}]
    assert progress_frames([]) == []


items = st.lists(st.fixed_dictionaries({"text": st.text(max_size=80), "taskUUID": st.just("a")}), max_size=12)


@given(items, items, st.integers(100, 400))
def test_frames_hold_everything_once_in_order_and_no_more_than_fits(
    data: list[dict[str, object]], errors: list[dict[str, object]], max_bytes: int
) -> None:
    result = cast(list[dict[str, list[Any]]], frames(data, errors, max_bytes))
    assert [item for frame in result for item in frame.get("data", [])] == data
    assert [item for frame in result for item in frame.get("errors", [])] == errors
    for frame in result:
        assert len(frame) == 1
        (held,) = frame.values()
        assert held
        assert len(held) == 1 or len(json.dumps(frame)) <= max_bytes
    for one, next_one in pairwise(result):
        if one.keys() == next_one.keys():
            (key,) = one
            joined = {key: one[key] + next_one[key][:1]}
            spare = len(", ")
            assert len(json.dumps(joined)) + spare > max_bytes, "the next item would still have fitted"
