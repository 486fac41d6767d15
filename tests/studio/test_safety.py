"""checkNSFW and `safety`: the flag is in every answer of a task, and a task that cannot be checked is refused."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.safety_checkers import write_classifier
from tests.studio.conftest import Workplace, error_of, item_of, transformation
from underpaint.database import deliveries, rows
from underpaint.settings import Settings

ASKING = [
    ({"checkNSFW": True}, "checkNSFW"),
    ({"safety": {"checkContent": True}}, "safety.checkContent"),
    ({"safety": {"mode": "fast"}}, "safety.mode"),
    ({"safety": {"mode": "full", "checkContent": False}}, "safety.mode"),
]
NOT_ASKING = [
    {},
    {"checkNSFW": False},
    {"safety": {"checkContent": False}},
    {"safety": {"mode": "none", "checkContent": True}},
    {"safety": {"checkInputs": False, "tolerance": True}},
]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("safety") / "classifier")


@pytest.mark.parametrize(("asking", "parameter"), ASKING)
async def test_without_a_checker_it_is_refused_by_the_name_it_was_asked_by(
    workplace: Workplace, asking: dict[str, Any], parameter: str
) -> None:
    task = transformation(**asking)
    error = error_of(await workplace.perform(task))
    assert (error["code"], error["parameter"]) == ("unsupportedParameter", parameter)
    assert "safety_model" in error["message"]
    assert workplace.engine.jobs == []
    assert workplace.journal.find("key-1", task["taskUUID"]) is None


async def test_inputs_are_not_checked_and_nobody_is_told_so(
    open_workplace: Callable[..., Workplace], classifier: Path
) -> None:
    workplace = open_workplace(safety_model=str(classifier))
    task = transformation(safety={"checkContent": True, "checkInputs": True})
    error = error_of(await workplace.perform(task))
    assert (error["code"], error["parameter"]) == ("unsupportedParameter", "safety.checkInputs")


@pytest.mark.parametrize("unsafe", [True, False])
@pytest.mark.parametrize(("asking", "_parameter"), ASKING)
async def test_results_carry_the_flag_where_it_is_asked_for(
    open_workplace: Callable[..., Workplace],
    classifier: Path,
    asking: dict[str, Any],
    _parameter: str,
    unsafe: bool,
) -> None:
    workplace = open_workplace(safety_model=str(classifier), safety_threshold=0.7)
    workplace.engine.unsafe = unsafe
    item = item_of(await workplace.perform(transformation(**asking)))
    assert item["NSFWContent"] is unsafe
    # It is delivered all the same: what to do with it is the caller's to say.
    assert item["imageURL"]
    check = workplace.engine.jobs[0].safety_check
    assert check is not None
    assert (check.location, check.unsafe_labels, check.threshold) == (classifier, ("nsfw",), 0.7)


@pytest.mark.parametrize("not_asking", NOT_ASKING)
async def test_and_only_there(
    open_workplace: Callable[..., Workplace], classifier: Path, not_asking: dict[str, Any]
) -> None:
    workplace = open_workplace(safety_model=str(classifier))
    item = item_of(await workplace.perform(transformation(**not_asking)))
    assert "NSFWContent" not in item
    assert workplace.engine.jobs[0].safety_check is None


async def test_the_flag_outlives_a_restart(
    open_workplace: Callable[..., Workplace], classifier: Path
) -> None:
    first = open_workplace(safety_model=str(classifier))
    first.engine.unsafe = True
    done = transformation(checkNSFW=True)
    item_of(await first.perform(done))
    first.engine.holding = True
    interrupted = transformation(checkNSFW=True, deliveryMethod="async")
    item_of(await first.perform(interrupted))
    await first.studio.drain(grace_s=0)

    second = open_workplace(safety_model=str(classifier))
    second.engine.unsafe = True
    await second.studio.resume()
    for task in (done, interrupted):
        question = {"taskType": "getResponse", "taskUUID": task["taskUUID"]}
        item = item_of(await second.perform(question, hold_s=30))
        assert item["NSFWContent"] is True
    details = {"taskType": "getTaskDetails", "taskUUID": done["taskUUID"]}
    [response] = item_of(await second.perform(details))["response"]["data"]
    assert response["NSFWContent"] is True


async def test_a_task_whose_checker_is_gone_after_a_restart_fails_and_is_not_taken_for_safe(
    open_workplace: Callable[..., Workplace], classifier: Path
) -> None:
    first = open_workplace(safety_model=str(classifier))
    first.engine.holding = True
    task = transformation(checkNSFW=True, deliveryMethod="async")
    item_of(await first.perform(task))
    await first.studio.drain(grace_s=0)
    second = open_workplace()
    await second.studio.resume()
    question = {"taskType": "getResponse", "taskUUID": task["taskUUID"]}
    assert error_of(await second.perform(question, hold_s=30))["parameter"] == "checkNSFW"


async def test_every_result_has_its_own_flag_and_webhooks_tell_it(
    open_workplace: Callable[..., Workplace], classifier: Path
) -> None:
    workplace = open_workplace(safety_model=str(classifier))
    workplace.engine.unsafe = True
    task = transformation(checkNSFW=True, numberResults=2, webhookURL="https://example.com/hook")
    item_of(await workplace.perform(task))
    question = {"taskType": "getResponse", "taskUUID": task["taskUUID"]}
    reply = await workplace.perform(question, hold_s=30)
    assert [item["NSFWContent"] for item in reply.data] == [True, True]
    due = rows(workplace.database, select(deliveries.c.payload))
    assert [row.payload["data"][0]["NSFWContent"] for row in due] == [True, True]


@pytest.mark.parametrize(
    ("name", "told"), [("/nowhere/at/all", "its log says why"), ("a/b/c", "its log says")]
)
async def test_a_checker_that_cannot_be_used_is_an_error_that_names_no_path(
    open_workplace: Callable[..., Workplace],
    name: str,
    told: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    workplace = open_workplace(safety_model=name, skip_nsfw_check=True)
    await workplace.studio.resume()
    task = transformation(taskUUID=str(uuid.uuid4()), checkNSFW=True)
    error = error_of(await workplace.perform(task))
    assert (error["code"], error["parameter"]) == ("modelNotReady", "checkNSFW")
    assert told in error["message"]
    assert name not in error["message"]
    assert name in caplog.text
    # Others are served.
    item_of(await workplace.perform(transformation()))


async def test_with_a_checker_nothing_is_skipped(
    open_workplace: Callable[..., Workplace], classifier: Path
) -> None:
    workplace = open_workplace(safety_model=str(classifier), skip_nsfw_check=True)
    assert item_of(await workplace.perform(transformation(checkNSFW=True)))["NSFWContent"] is False


def test_labels_come_as_a_list_or_with_commas() -> None:
    assert Settings(safety_labels="porn, hentai").safety_labels == ("porn", "hentai")
    assert Settings(safety_labels=["porn"]).safety_labels == ("porn",)
