import pytest
from hypothesis import given
from hypothesis import strategies as st

from underpaint.wire import Air

words = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", min_size=1, max_size=20)
sources = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,19}", fullmatch=True)
airs = st.builds(Air, sources, words, words)


@given(airs)
def test_an_identifier_survives_being_written_and_read(air: Air) -> None:
    assert Air.parse(str(air)) == air


@given(
    airs,
    st.sampled_from(["urn:air:", "air:", "urn:", ""]),
    st.sampled_from(["sdxl:lora:", "flux1:checkpoint:"]),
)
def test_the_long_form_names_the_same_model(air: Air, scheme: str, kind: str) -> None:
    assert Air.parse(f"{scheme}{kind}{air}") == air


@pytest.mark.parametrize(
    "text",
    [
        "runware:101@1",
        "civitai:101055@128078",
        "runware:z-image@turbo",
        "bfl:flux@3-image",
        "runware:kandinsky-5.0@1",
    ],
)
def test_identifiers_of_the_documentation_are_read_as_they_are(text: str) -> None:
    assert str(Air.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "flux",
        "runware:101",
        "101@1",
        "runware:@1",
        "runware:101@",
        "runware:101@1 ",
        "Runware:101@1",
        "a:b:c@1",
        "a:b:c:d:e:f:1@1",
        "runware:101@1\n",
        "runware:../x@1/2",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="source:id@version"):
        Air.parse(text)


def test_the_long_form_may_lack_ecosystem_and_type() -> None:
    assert Air.parse("urn:air:runware:101@1") == Air("runware", "101", "1")


def test_an_identifier_cannot_be_made_from_parts_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="AIR identifier"):
        Air("run ware", "101", "1")
