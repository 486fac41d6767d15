"""Several pictures on one labelled sheet."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

_PAPER = (250, 249, 246)
_INK = (32, 33, 36)
_SOFT_INK = (112, 114, 120)
_FRAME = (222, 220, 214)

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, kw_only=True)
class LabelledImage:
    """A picture, and the caption under it (none if empty)."""

    image: Image.Image
    label: str = ""


def contact_sheet(
    rows: Sequence[Sequence[LabelledImage]],
    *,
    title: str | None = None,
    cell_px: int = 320,
    column_headings: Sequence[str] = (),
    row_headings: Sequence[str] = (),
    footer: str | None = None,
) -> Image.Image:
    """Lay out rows of pictures, dark on light.

    Every picture keeps its aspect ratio within a square of `cell_px`; a row is as high as its highest
    picture. Column headings stand above the columns, row headings (prompts, say, wrapped to six lines) to the
    left of the rows. Text is set in the font that Pillow carries, which knows Latin letters.

    Raises `ValueError` if there is no picture or `cell_px` is below 64.
    """
    if not any(rows):
        raise ValueError("a contact sheet needs at least one picture")
    if cell_px < 64:
        raise ValueError(
            f"cells of {cell_px} pixels are too small for a contact sheet: at least 64 are needed"
        )
    layout = _Layout(cell_px)
    columns = max(len(row) for row in rows)
    heading_width = layout.heading_width if any(row_headings) else 0
    left = layout.margin + heading_width
    width = left + columns * cell_px + (columns - 1) * layout.gap + layout.margin
    text_width = width - 2 * layout.margin
    title_lines = _wrap(title or "", layout.title_font, text_width, 3)
    footer_lines = _wrap(footer or "", layout.caption_font, text_width, 3)
    thumbnails = [[_scaled(cell.image, cell_px) for cell in row] for row in rows]

    top = layout.margin + len(title_lines) * layout.title_line + (layout.gap if title_lines else 0)
    headings_at = top
    if any(column_headings):
        top += layout.heading_line + layout.gap // 2
    row_tops, row_heights = [], []
    for row, pictures in zip(rows, thumbnails, strict=True):
        row_tops.append(top)
        row_heights.append(max((picture.height for picture in pictures), default=0))
        top += row_heights[-1] + layout.gap
        if any(cell.label for cell in row):
            top += layout.caption_line
    height = top - layout.gap + layout.margin
    if footer_lines:
        height += layout.gap + len(footer_lines) * layout.caption_line

    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _write(draw, title_lines, (layout.margin, layout.margin), layout.title_font, layout.title_line, _INK)
    for column, heading in enumerate(column_headings[:columns]):
        centre = left + column * (cell_px + layout.gap) + cell_px // 2
        lines = _wrap(heading, layout.heading_font, cell_px, 1)
        _write(
            draw, lines, (centre, headings_at), layout.heading_font, layout.heading_line, _INK, centred=True
        )
    for number, (row, pictures) in enumerate(zip(rows, thumbnails, strict=True)):
        if number < len(row_headings):
            lines = _wrap(row_headings[number], layout.heading_font, heading_width - layout.gap, 6)
            middle = row_tops[number] + (row_heights[number] - len(lines) * layout.heading_line) // 2
            _write(draw, lines, (layout.margin, middle), layout.heading_font, layout.heading_line, _INK)
        for column, (cell, picture) in enumerate(zip(row, pictures, strict=True)):
            x = left + column * (cell_px + layout.gap) + (cell_px - picture.width) // 2
            y = row_tops[number] + (row_heights[number] - picture.height) // 2
            draw.rectangle((x - 1, y - 1, x + picture.width, y + picture.height), outline=_FRAME)
            sheet.paste(picture, (x, y))
            caption_at = (
                x + picture.width // 2,
                row_tops[number] + row_heights[number] + layout.caption_line // 3,
            )
            lines = _wrap(cell.label, layout.caption_font, cell_px, 1)
            _write(draw, lines, caption_at, layout.caption_font, layout.caption_line, _SOFT_INK, centred=True)
    footer_at = (layout.margin, height - layout.margin - len(footer_lines) * layout.caption_line)
    _write(draw, footer_lines, footer_at, layout.caption_font, layout.caption_line, _SOFT_INK)
    return sheet


class _Layout:
    """All distances and sizes of type, in pixels, in proportion to the cells."""

    def __init__(self, cell_px: int) -> None:
        caption_px, heading_px, title_px = (
            max(least, cell_px // part) for least, part in ((11, 22), (12, 18), (16, 11))
        )
        self.margin = cell_px // 6
        self.gap = cell_px // 13
        self.heading_width = cell_px * 5 // 8
        self.caption_font = ImageFont.load_default(caption_px)
        self.heading_font = ImageFont.load_default(heading_px)
        self.title_font = ImageFont.load_default(title_px)
        self.caption_line = caption_px * 3 // 2
        self.heading_line = heading_px * 4 // 3
        self.title_line = title_px * 4 // 3


def _scaled(image: Image.Image, cell_px: int) -> Image.Image:
    scale = cell_px / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image = image.convert("RGB")
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def _wrap(text: str, font: _Font, width_px: int, max_lines: int) -> list[str]:
    """Break a text at its spaces; what does not fit ends in an ellipsis."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width_px:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    if len(lines) > max_lines:
        lines = [*lines[: max_lines - 1], f"{lines[max_lines - 1]} {lines[max_lines]}"]
    return [_shortened(line, font, width_px) for line in lines]


def _shortened(line: str, font: _Font, width_px: int) -> str:
    if font.getlength(line) <= width_px:
        return line
    while line and font.getlength(f"{line}...") > width_px:
        line = line[:-1]
    return f"{line.rstrip()}..."


def _write(
    draw: ImageDraw.ImageDraw,
    lines: Sequence[str],
    at: tuple[int, int],
    font: _Font,
    line_px: int,
    color: tuple[int, int, int],
    *,
    centred: bool = False,
) -> None:
    x, y = at
    for number, line in enumerate(lines):
        draw.text((x, y + number * line_px), line, fill=color, font=font, anchor="ma" if centred else "la")
