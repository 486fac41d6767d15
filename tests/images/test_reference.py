"""The four forms in which a task names an image."""

import base64
import contextlib
import time
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from underpaint.images import (
    InlineImage,
    InvalidImageReference,
    RemoteImage,
    StoredImage,
    parse_image_reference,
)

# Every base64 digit occurs in it, the two that differ between the alphabets included.
FILE = bytes(range(256)) + b"\xfb\xef\xbe\xff\xff\xfe"


@pytest.mark.parametrize(
    "text",
    [
        "5160a4c7-6e35-4a11-9c3b-7a2a1d2f9c11",
        "5160A4C7-6E35-4A11-9C3B-7A2A1D2F9C11",
        "  5160a4c7-6e35-4a11-9c3b-7a2a1d2f9c11\n",
        "5160a4c7-6e35-1a11-9c3b-7a2a1d2f9c11",
        "5160a4c7-6e35-7a11-9c3b-7a2a1d2f9c11",
        "00000000-0000-0000-0000-000000000000",
    ],
)
def test_a_uuid_is_a_stored_image(text: str) -> None:
    assert parse_image_reference(text) == StoredImage(uuid=text.strip().lower())


@pytest.mark.parametrize(
    "head",
    [
        "data:image/png;base64,",
        "data:image/jpeg;charset=utf-8;base64,",
        "data:image/webp;name=photo.webp;base64,",
        "DATA:IMAGE/PNG;BASE64,",
        "data:;base64,",
        "data:image/png; base64,",
        "data:application/octet-stream;base64,",
    ],
)
def test_a_data_uri_is_an_inline_image(head: str) -> None:
    assert parse_image_reference(head + base64.b64encode(FILE).decode()) == InlineImage(data=FILE)


def in_lines(text: str, ending: str) -> str:
    return ending.join(text[at : at + 76] for at in range(0, len(text), 76))


@pytest.mark.parametrize("head", ["", "data:image/png;base64,"])
@pytest.mark.parametrize("size", [len(FILE), len(FILE) - 1, len(FILE) - 2])
@pytest.mark.parametrize("safe", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n  "])
def test_base64_comes_in_many_forms(head: str, size: int, safe: bool, padded: bool, ending: str) -> None:
    data = FILE[-size:]
    text = (base64.urlsafe_b64encode(data) if safe else base64.b64encode(data)).decode()
    text = in_lines(text if padded else text.rstrip("="), ending)
    assert parse_image_reference(head + text) == InlineImage(data=data)


def test_the_base64_of_a_data_uri_may_be_percent_encoded() -> None:
    text = in_lines(base64.b64encode(FILE).decode(), "\r\n")
    upper = urllib.parse.quote(text, safe="")
    lower = text.replace("+", "%2b").replace("/", "%2f").replace("=", "%3d").replace("\r\n", "%0d%0a")
    for encoded in (upper, lower):
        assert "%2" in encoded
        assert parse_image_reference(f"data:image/png;base64,{encoded}") == InlineImage(data=FILE)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a.png",
        "https://example.com/a?b=c#d",
        "HTTPS://EXAMPLE.COM/A.PNG",
        "http://[::1]:8080/",
    ],
)
def test_a_url_is_a_remote_image(url: str) -> None:
    assert parse_image_reference(f" {url}\n") == RemoteImage(url=url)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("photo.jpg", "not valid base64"),
        ("/etc/passwd", "too few"),
        ("../../secret", "not valid base64"),
        ("bild-ä", "not valid base64"),
        ("file:///etc/passwd", "URL of a kind"),
        ("ftp://example.com/a.png", "URL of a kind"),
        ("http://example.com/a b.png", "spaces or control"),
        ("http://example.com/a\x00.png", "spaces or control"),
        ("http://example.com/a\u202eb.png", "spaces or control"),
        ("https://example.com/" + "a" * 9000, "longer than"),
        ("data:image/png;base64", "no comma"),
        ("data:" + "a" * 5000 + ";base64,AAAA", "no comma"),
        ("data:image/svg+xml,<svg/>", "not in base64"),
        ("data:image/svg+xml;utf8,<svg/>", "not in base64"),
        ("data:image/png;base64,", "too few"),
        ("data:image/png;base64,%41%41%41%41" + "A" * 60, "not valid base64"),
        ("aGVsbG8=", "too few"),
        ("A" * 41, "not valid base64"),
        ("A" * 40 + "===", "not valid base64"),
        ("A" * 38 + "=", "not valid base64"),
        ("A" * 20 + "=" + "A" * 19, "not valid base64"),
        ("5160a4c76e354a119c3b7a2a1d2f9c11", "too few"),
        ("5160a4c7-6e35-4a11-9c3b-7a2a1d2f9c1", "too few"),
    ],
)
def test_anything_else_is_refused_with_the_forms_accepted(text: str, problem: str) -> None:
    with pytest.raises(InvalidImageReference) as refused:
        parse_image_reference(text)
    assert problem in str(refused.value)
    assert "UUID" in str(refused.value)
    assert "data URI" in str(refused.value)
    assert len(str(refused.value)) < 300


@given(
    st.text() | st.text("ABCab+/-_=% \n:,;datimge64hp", max_size=80).map(lambda text: f"data:;base64,{text}")
)
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        reference = parse_image_reference(text)
    except InvalidImageReference:
        return
    assert isinstance(reference, StoredImage | InlineImage | RemoteImage)


@given(st.binary(min_size=30, max_size=500), st.booleans())
def test_base64_is_decoded_exactly(data: bytes, as_uri: bool) -> None:
    text = base64.b64encode(data).decode()
    assert parse_image_reference(f"data:image/png;base64,{text}" if as_uri else text) == InlineImage(
        data=data
    )


MILLION = 1_000_000


@pytest.mark.parametrize(
    "unit", ["=", "A=", ";", ",", "data:", "%2B", "%", "-", "\n", " ", "A\n", "http://", "é", "A;base64,"]
)
@pytest.mark.parametrize("head", ["", "data:image/png;base64,", "data:", "http://"])
def test_forty_megabytes_of_anything_take_linear_time(head: str, unit: str) -> None:
    def seconds(size: int) -> float:
        text = head + unit * (size // len(unit))
        started = time.process_time()
        with contextlib.suppress(InvalidImageReference):
            parse_image_reference(text)
        return time.process_time() - started

    # Quadratic time at 4 MB would be minutes; linear time is milliseconds, whatever the machine.
    assert seconds(4 * MILLION) < 2


def test_a_real_forty_megabytes_are_decoded() -> None:
    data = bytes(30 * MILLION)
    started = time.process_time()
    assert parse_image_reference("data:image/png;base64," + base64.b64encode(data).decode()) == InlineImage(
        data=data
    )
    assert time.process_time() - started < 5
