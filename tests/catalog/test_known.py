import re

from underpaint.catalog.air import short_air
from underpaint.catalog.contents import FAMILIES
from underpaint.catalog.known import KNOWN, known_by_hub_id


def test_every_identifier_is_in_its_short_form_and_no_entry_claims_files() -> None:
    for air, entry in KNOWN.items():
        assert short_air(air) == air == entry.air
        assert entry.files is None


def test_every_architecture_belongs_to_a_family_and_every_repository_has_an_owner() -> None:
    architectures = {name for family in FAMILIES for name in family}
    for entry in KNOWN.values():
        assert entry.architecture in architectures
        assert entry.hub_id is None or re.fullmatch(r"[\w-]+/[\w.-]+", entry.hub_id)
        assert (entry.conditioning is not None) == (entry.category == "controlnet")


def test_the_guides_example_model_is_known() -> None:
    assert KNOWN["runware:101@1"].hub_id == "black-forest-labs/FLUX.1-dev"


def test_a_repository_tells_its_model_only_if_there_is_one() -> None:
    assert known_by_hub_id("qwen/QWEN-image") is KNOWN["runware:108@1"]
    assert known_by_hub_id("h94/IP-Adapter") is None
    assert known_by_hub_id("someone/something") is None
