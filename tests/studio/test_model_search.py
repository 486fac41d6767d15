import uuid
from typing import Any

from tests.studio.conftest import Workplace, error_of, item_of


def search(**criteria: Any) -> dict[str, Any]:
    return {"taskType": "modelSearch", "taskUUID": str(uuid.uuid4()), **criteria}


async def test_a_search_gives_one_item_with_what_clients_need(workplace: Workplace) -> None:
    item = item_of(await workplace.perform(search(search="underpaint")))
    assert item["totalResults"] == len(item["results"]) >= 1
    model = next(model for model in item["results"] if model["air"] == "underpaint:1@2")
    assert isinstance(model["tags"], list)
    assert model["private"] is False
    assert (model["category"], model["architecture"]) == ("checkpoint", "sd1x")
    assert model["defaultSteps"] == 24


async def test_pages(workplace: Workplace) -> None:
    everything = item_of(await workplace.perform(search()))
    page = item_of(await workplace.perform(search(limit=1, offset=1)))
    assert page["totalResults"] == everything["totalResults"]
    assert page["results"] == everything["results"][1:2]


async def test_nothing_found_is_not_an_error(workplace: Workplace) -> None:
    assert item_of(await workplace.perform(search(search="no such model")))["results"] == []


async def test_bad_criteria_are_named(workplace: Workplace) -> None:
    error = error_of(await workplace.perform(search(limit=0)))
    assert (error["code"], error["parameter"]) == ("invalidLimit", "limit")
