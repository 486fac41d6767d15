"""Nothing imports upward, and the rooms of the ground do not know one another: docs/architecture/01."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "underpaint"
FLOORS = (
    {"wire", "images", "diffusion", "preprocessors", "embedded", "web", "settings", "database"},
    {"catalog"},
    {"engine"},
    {"studio"},
    {"server", "library"},
    {"doctor"},
    {"cli"},
)
"""From the ground up. Modules of a few lines that everybody may use, such as `files`, are on no floor."""
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def imported_rooms(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "underpaint":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("underpaint."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.split(".")[1] for alias in node.names if alias.name.startswith("underpaint.")
            )


@pytest.mark.parametrize("room", sorted(FLOOR_OF))
def test_a_room_knows_only_what_is_below_it(room: str) -> None:
    place = PACKAGE / room
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    assert files
    for file in files:
        for other in imported_rooms(file):
            if other in FLOOR_OF and other != room:
                assert FLOOR_OF[other] < FLOOR_OF[room], f"{file.relative_to(PACKAGE)} imports {other}"


def test_every_room_has_its_floor() -> None:
    rooms = {place.name for place in PACKAGE.iterdir() if (place / "__init__.py").exists()}
    assert rooms - {"__pycache__"} <= FLOOR_OF.keys()
