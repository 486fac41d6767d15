"""The sheet shows every picture, whole, with its words around it."""

import pytest
from PIL import Image

from underpaint.images import LabelledImage, contact_sheet

PAPER = (250, 249, 246)


def cell(color: str, size: tuple[int, int] = (64, 64), label: str = "") -> LabelledImage:
    return LabelledImage(image=Image.new("RGB", size, color), label=label)


def boxes(sheet: Image.Image, color: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Where a colour is on the sheet."""
    mask = Image.new("L", sheet.size)
    mask.putdata([255 if pixel == color else 0 for pixel in sheet.get_flattened_data()])
    box = mask.getbbox()
    assert box is not None
    return box


def test_every_picture_has_its_place() -> None:
    sheet = contact_sheet([[cell("red"), cell("lime")], [cell("blue"), cell("cyan")]], cell_px=64)
    red, lime, blue, cyan = (
        boxes(sheet, color) for color in ((255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 255, 255))
    )
    for box in (red, lime, blue, cyan):
        assert (box[2] - box[0], box[3] - box[1]) == (64, 64)
    assert red[0] == blue[0] < lime[0] == cyan[0]
    assert red[1] == lime[1] < blue[1] == cyan[1]


def test_pictures_keep_their_aspect_and_are_scaled_up_too() -> None:
    sheet = contact_sheet([[cell("red", (200, 100)), cell("blue", (10, 40))]], cell_px=80)
    red, blue = boxes(sheet, (255, 0, 0)), boxes(sheet, (0, 0, 255))
    assert (red[2] - red[0], red[3] - red[1]) == (80, 40)
    assert (blue[2] - blue[0], blue[3] - blue[1]) == (20, 80)


def test_words_make_room_for_themselves() -> None:
    rows = [[cell("red"), cell("lime")]]
    plain = contact_sheet(rows, cell_px=64)
    titled = contact_sheet(rows, cell_px=64, title="A title", footer="A footer")
    headed = contact_sheet(rows, cell_px=64, column_headings=["0.3", "0.5"], row_headings=["a cat"])
    captioned = contact_sheet([[cell("red", label="strength 0.3"), cell("lime")]], cell_px=64)
    assert titled.width == plain.width
    assert titled.height > plain.height
    assert headed.width > plain.width
    assert headed.height > plain.height
    assert captioned.height > plain.height


def test_no_word_however_long_leaves_the_sheet_or_covers_a_picture() -> None:
    long = "incomprehensibilities " * 30 + "x" * 300
    sheet = contact_sheet(
        [[cell("red", label=long)]],
        cell_px=64,
        title=long,
        footer=long,
        column_headings=[long],
        row_headings=[long],
    )
    box = boxes(sheet, (255, 0, 0))
    assert set(sheet.crop(box).get_flattened_data()) == {(255, 0, 0)}
    border = 4
    for strip in (
        (0, 0, sheet.width, border),
        (0, sheet.height - border, sheet.width, sheet.height),
        (0, 0, border, sheet.height),
        (sheet.width - border, 0, sheet.width, sheet.height),
    ):
        assert set(sheet.crop(strip).get_flattened_data()) == {PAPER}


def test_rows_may_differ_in_length() -> None:
    sheet = contact_sheet([[cell("red")], [cell("blue"), cell("lime")], []], cell_px=64)
    assert boxes(sheet, (255, 0, 0))[0] == boxes(sheet, (0, 0, 255))[0]


def test_an_empty_sheet_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one picture"):
        contact_sheet([[]])
    with pytest.raises(ValueError, match="at least 64"):
        contact_sheet([[cell("red")]], cell_px=10)
