import pytest

from underpaint.catalog import ModelEntry, SearchQuery
from underpaint.catalog.search import score, search


def checkpoint(air: str, name: str, **more: object) -> ModelEntry:
    fields: dict[str, object] = {"version": "1", "architecture": "sd1x", **more}
    return ModelEntry(air=air, name=name, **fields)  # type: ignore[arg-type]


MODELS = (
    checkpoint("test:1@1", "Dream Shaper", tags=("Photo", "art")),
    checkpoint("test:2@1", "Dreamlike", version="dream", architecture="sdxl", type="inpainting"),
    checkpoint("dream:3@1", "Realistic", tags=("photo", "dream"), private=True),
    checkpoint("test:4@1", "Canny", category="controlnet", conditioning="canny"),
    checkpoint("test:5@1", "Plain [v1]", type="refiner", architecture="sdxl"),
    checkpoint("runware:6@1", "Map", type="control", architecture="flux1d"),
    checkpoint("test:7@1", "Look", category="ipadapter"),
)
EVERYTHING = ["dream:3@1", "runware:6@1", "test:1@1", "test:2@1", "test:4@1", "test:5@1", "test:7@1"]


def found(**query: object) -> list[str]:
    total, page = search(MODELS, SearchQuery(**query))  # type: ignore[arg-type]
    assert total == len(page)
    return [entry.air for entry in page]


def test_without_filters_everything_is_found_in_the_order_of_identifiers() -> None:
    assert found() == EVERYTHING
    assert found(search="  ") == found()


def test_a_phrase_in_the_name_counts_most_and_a_version_or_tag_least() -> None:
    scores = {entry.air: score(entry, "dream") for entry in MODELS[:5]}
    # "Dream Shaper" has the phrase; "dream:3@1" the identifier and a tag; "Dreamlike" a part of a word and a version.
    assert scores == {"test:1@1": 15, "dream:3@1": 6, "test:2@1": 6, "test:4@1": 0, "test:5@1": 0}
    assert found(search="dream") == ["test:1@1", "dream:3@1", "test:2@1"]


@pytest.mark.parametrize(
    ("text", "airs"),
    [
        ("DREAM shaper", ["test:1@1"]),
        ("dream  SHAPER", ["test:1@1"]),
        ("dre?m*per", ["test:1@1"]),
        ("test:4", ["test:4@1"]),
        ("[v1]", ["test:5@1"]),
        ("v1", ["test:5@1"]),
        ("art", ["test:1@1"]),
        ("nothing like it", []),
        ("phot", []),
    ],
)
def test_text_is_found_without_case_in_names_identifiers_versions_and_tags(
    text: str, airs: list[str]
) -> None:
    assert found(search=text) == airs


@pytest.mark.parametrize(
    ("query", "airs"),
    [
        ({"tags": ("photo",)}, ["dream:3@1", "test:1@1"]),
        ({"tags": ("ART", "unused")}, ["test:1@1"]),
        ({"category": "controlnet"}, ["test:4@1"]),
        ({"category": "lycoris"}, []),
        ({"type": "base"}, ["dream:3@1", "test:1@1"]),
        ({"type": "inpainting"}, ["test:2@1"]),
        ({"type": "control"}, ["runware:6@1"]),
        ({"category": "ipadapter"}, ["test:7@1"]),
        ({"source": "official"}, ["runware:6@1"]),
        ({"source": "community", "category": "controlnet"}, ["test:4@1"]),
        ({"capabilities": ("image-to-image",)}, ["dream:3@1", "test:1@1", "test:2@1", "test:5@1"]),
        ({"capabilities": ("Inpainting", "text-to-image")}, ["dream:3@1", "test:1@1", "test:2@1"]),
        ({"capabilities": ("control",)}, ["runware:6@1"]),
        ({"capabilities": ("control", "inpainting")}, []),
        ({"architecture": "SDXL"}, ["test:2@1", "test:5@1"]),
        ({"conditioning": "canny"}, ["test:4@1"]),
        ({"visibility": "private"}, ["dream:3@1"]),
        ({"visibility": "public"}, EVERYTHING[1:]),
        ({"architecture": "sdxl", "type": "refiner", "search": "plain"}, ["test:5@1"]),
        ({"architecture": "sdxl", "search": "shaper"}, []),
    ],
)
def test_every_filter_narrows(query: dict[str, object], airs: list[str]) -> None:
    assert found(**query) == airs


def test_pages_join_to_the_whole_and_the_total_counts_all() -> None:
    pages = [search(MODELS, SearchQuery(limit=2, offset=offset)) for offset in (0, 2, 4, 6, 8)]
    assert [total for total, _ in pages] == [7] * 5
    assert [entry.air for _, page in pages for entry in page] == found()
    assert pages[-1][1] == ()


@pytest.mark.parametrize(
    ("sort", "airs"),
    [
        (None, ["test:2@1", "test:3@1", "test:1@1"]),
        ("_score", ["test:2@1", "test:3@1", "test:1@1"]),
        ("popularity", ["test:2@1", "test:3@1", "test:1@1"]),
        ("name", ["test:1@1", "test:2@1", "test:3@1"]),
        ("-name", ["test:3@1", "test:2@1", "test:1@1"]),
        ("addedUnixTimestamp", ["test:3@1", "test:1@1", "test:2@1"]),
        ("-addedUnixTimestamp", ["test:2@1", "test:1@1", "test:3@1"]),
        ("updatedDateUnixTimestamp", ["test:1@1", "test:2@1", "test:3@1"]),
        ("-updatedDateUnixTimestamp", ["test:3@1", "test:2@1", "test:1@1"]),
    ],
)
def test_every_order(sort: str | None, airs: list[str]) -> None:
    models = (
        checkpoint("test:1@1", "a seascape", added_s=2.0, updated_s=2.0),
        checkpoint("test:2@1", "B sea", added_s=3.0, updated_s=3.0),
        checkpoint("test:3@1", "c sea", added_s=1.0, updated_s=4.0),
    )
    total, page = search(models, SearchQuery(search="sea", sort=sort))
    assert (total, [entry.air for entry in page]) == (3, airs)
    assert search(models, SearchQuery(search="sea", sort=sort, limit=1, offset=1))[1] == page[1:2]
