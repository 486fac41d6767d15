import pytest

from underpaint.catalog import UnknownModel
from underpaint.catalog.air import LONGEST, civitai_page, short_air


@pytest.mark.parametrize(
    "text", ["civitai:4201@130072", " civitai:4201@130072 ", "urn:air:sd1:checkpoint:civitai:4201@130072"]
)
def test_every_way_to_write_an_identifier_has_one_short_form(text: str) -> None:
    assert short_air(text) == "civitai:4201@130072"


@pytest.mark.parametrize("text", ["", "flux", "runware:101", "runware:101@", "a" * LONGEST + ":1@1"])
def test_other_text_is_refused_as_an_unknown_model(text: str) -> None:
    with pytest.raises(UnknownModel, match="source:id@version"):
        short_air(text)


def test_a_civitai_identifier_tells_its_download_page() -> None:
    assert civitai_page("civitai:25694@143906") == "https://civitai.com/models/25694?modelVersionId=143906"


@pytest.mark.parametrize("air", ["runware:101@1", "civitai:25694@latest", "civitai:25694@1/../../x"])
def test_other_identifiers_tell_none(air: str) -> None:
    assert civitai_page(air) is None
