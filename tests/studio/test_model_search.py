import uuid
from typing import Any

import pytest

from tests.studio.conftest import Workplace, error_of, item_of
from underpaint.catalog import ModelEntry, ModelFiles
from underpaint.catalog.installed import InstalledModels


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


async def test_what_ships_for_the_embedded_model_is_found_beside_it(workplace: Workplace) -> None:
    for category, air in (("lora", "underpaint:lora@1"), ("ipadapter", "underpaint:ip@1")):
        [model] = item_of(await workplace.perform(search(category=category)))["results"]
        assert (model["air"], model["onlyFor"]) == (air, "underpaint:1@2")


async def test_pages(workplace: Workplace) -> None:
    everything = item_of(await workplace.perform(search()))
    page = item_of(await workplace.perform(search(limit=1, offset=1)))
    assert page["totalResults"] == everything["totalResults"]
    assert page["results"] == everything["results"][1:2]


async def test_nothing_found_is_not_an_error(workplace: Workplace) -> None:
    assert item_of(await workplace.perform(search(search="no such model")))["results"] == []


@pytest.fixture
def library(workplace: Workplace) -> Workplace:
    """One model of every category, and every type of checkpoint, with all that can be said of them."""
    installed = InstalledModels(workplace.settings.data_dir)
    for number, (category, kind, architecture) in enumerate(
        (
            ("checkpoint", "base", "sd1x"),
            ("checkpoint", "inpainting", "sdxl"),
            ("checkpoint", "refiner", "sdxl"),
            ("checkpoint", "control", "flux1d"),
            ("lora", "base", "sd1x"),
            ("vae", "base", "sd1x"),
            ("controlnet", "base", "sdxl"),
            ("embeddings", "base", "sd1x"),
            ("ipadapter", "base", "flux1d"),
        )
    ):
        installed.add(
            ModelEntry(
                air=f"mine:{number}@1",
                name=f"{category} {kind}",
                version="1.5",
                architecture=architecture,
                category=category,  # type: ignore[arg-type]
                type=kind,
                files=ModelFiles(form="hub", location="someone/something"),
                tags=("mine",),
                private=category == "lora",
                conditioning="canny" if category == "controlnet" else None,
                comment="a note",
                hero_image_url="https://example.com/hero.png",
                trigger_words="sks" if category in ("lora", "embeddings") else "",
                default_weight=0.7 if category == "lora" else None,
                only_for="mine:0@1" if category == "lora" else None,
            )
        )
    return workplace


@pytest.mark.parametrize(
    ("criteria", "names"),
    [
        ({"category": "checkpoint"}, {"base", "inpainting", "refiner", "control"}),
        ({"type": "base"}, {"base"}),
        ({"type": "inpainting"}, {"inpainting"}),
        ({"type": "refiner"}, {"refiner"}),
        ({"type": "control"}, {"control"}),
        ({"category": "lora"}, {"lora"}),
        ({"category": "lycoris"}, set()),
        ({"category": "vae"}, {"vae"}),
        ({"category": "controlnet", "conditioning": "canny"}, {"controlnet"}),
        ({"category": "controlnet", "conditioning": "depth"}, set()),
        ({"category": "embeddings"}, {"embeddings"}),
        ({"category": "ipadapter"}, {"ipadapter"}),
        ({"visibility": "private"}, {"lora"}),
        ({"architecture": "flux1d"}, {"control", "ipadapter"}),
        ({"capabilities": ["control"]}, {"control"}),
        ({"source": "official"}, set()),
        ({"search": "vae", "visibility": "owned", "sort": "-name", "source": "community"}, {"vae"}),
    ],
)
async def test_every_filter_finds_what_it_names(
    library: Workplace, criteria: dict[str, Any], names: set[str]
) -> None:
    item = item_of(await library.perform(search(**{"tags": ["mine"], **criteria})))
    found = [
        model["type"] if model["category"] == "checkpoint" else model["category"] for model in item["results"]
    ]
    assert (set(found), item["totalResults"]) == (names, len(found))


async def test_every_field_of_a_result_stands_where_it_means_something(library: Workplace) -> None:
    item = item_of(await library.perform(search(tags=["mine"])))
    of_all = {"air", "name", "version", "category", "architecture", "tags", "heroImage", "private", "comment"}
    of_checkpoints = {"type"} | {
        f"default{field}" for field in ("Width", "Height", "Steps", "Scheduler", "CFG")
    }
    of_others = {
        "lora": {"positiveTriggerWords", "defaultWeight", "onlyFor"},
        "embeddings": {"positiveTriggerWords"},
        "controlnet": {"conditioning"},
    }
    for model in item["results"]:
        fields = of_all | of_others.get(model["category"], set())
        if model["category"] == "checkpoint":
            fields |= of_checkpoints | ({"defaultStrength"} if model["type"] == "inpainting" else set())
        assert set(model) == fields, model["name"]
        assert None not in model.values()


@pytest.mark.parametrize(
    "criteria",
    [
        {"category": "checkpoints"},
        {"type": "positive"},
        {"visibility": "mine"},
        {"source": "me"},
        {"sort": "size"},
        {"limit": 101},
        {"offset": -1},
        {"tags": "mine"},
    ],
)
async def test_what_no_filter_knows_is_refused_by_its_name(
    workplace: Workplace, criteria: dict[str, Any]
) -> None:
    [name] = criteria
    error = error_of(await workplace.perform(search(**criteria)))
    assert (error["code"], error["parameter"]) == ("invalid" + name[0].upper() + name[1:], name)


async def test_bad_criteria_are_named(workplace: Workplace) -> None:
    error = error_of(await workplace.perform(search(limit=0)))
    assert (error["code"], error["parameter"]) == ("invalidLimit", "limit")
