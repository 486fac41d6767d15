"""The pictures that README and docs show of the playground can be taken, and there is something on them."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageStat
from playwright.async_api import Browser

from tests.clients.server_process import ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="session")

FILE = Path(__file__).parents[2] / "docs" / "screenshots.py"
LEAST_SPREAD = 12
"""Of the brightness, in standard deviations: a page without its pictures has less."""


def load() -> Any:
    specification = importlib.util.spec_from_file_location("screenshots", FILE)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


screenshots = load()


def colours(picture: Image.Image) -> int:
    """How many there are, as far as one sees the difference."""
    return len(picture.quantize(256).getcolors() or [])


@pytest.mark.parametrize("name", screenshots.PICTURES)
async def test_there_is_something_on_it(
    browser: Browser, server: ServerProcess, tmp_path: Path, name: str
) -> None:
    picture = screenshots.PICTURES[name]
    context = await browser.new_context(**picture.browser)
    page = await context.new_page()
    await screenshots.open_page(page, server.url + "/")
    visit = screenshots.Visit(page=page, instead=screenshots.QUICK)
    await picture.show(visit)
    taken = await visit.taken()
    taken.save(tmp_path / f"{name}.png")
    scale = picture.browser["device_scale_factor"]
    assert taken.size == tuple(round(scale * side) for side in picture.browser["viewport"].values())
    scene = await page.locator("#scene").bounding_box()
    assert scene is not None
    box = [scene["x"], scene["y"], scene["x"] + scene["width"], scene["y"] + scene["height"]]
    stage = taken.crop(tuple(round(scale * side) for side in box))
    assert ImageStat.Stat(stage.convert("L")).stddev[0] > LEAST_SPREAD
    assert colours(stage) > 100
    dark = picture.browser.get("color_scheme") == "dark"
    assert (ImageStat.Stat(taken.convert("L")).median[0] < 100) == dark
    await context.close()


@pytest.mark.parametrize("name", screenshots.PICTURES)
async def test_it_is_where_the_docs_have_it(name: str) -> None:
    file = screenshots.FOLDER / f"playground-{name}.jpg"
    with Image.open(file) as shown:
        assert ImageStat.Stat(shown.convert("L")).stddev[0] > LEAST_SPREAD
    pages = [*FILE.parent.glob("*.md"), FILE.parents[1] / "README.md"]
    assert any(f"images/{file.name}" in page.read_text("utf-8") for page in pages)
