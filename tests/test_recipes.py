"""The recipes of the guide do what their pages say, on a real engine with the embedded model."""

import importlib.util
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from underpaint.database import open_database
from underpaint.settings import Settings
from underpaint.studio.studio import Studio, open_studio

REPOSITORY = Path(__file__).parent.parent


def _module(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location("documentation_recipes", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    # Data classes look their module up.
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


recipes = _module(REPOSITORY / "docs" / "recipes.py")


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    folder = tmp_path_factory.mktemp("studio")
    database = open_database(folder)
    async with open_studio(Settings(data_dir=folder, executor="eager"), database) as opened:
        yield opened
    database.dispose()


def distance(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two pictures at the second one's size, of 255."""
    return float(
        np.abs(np.asarray(one.convert("RGB").resize(other.size), float) - np.asarray(other, float)).mean()
    )


def by_name(steps: list[Any]) -> list[Image.Image]:
    return [step.image for step in steps]


async def test_every_recipe_is_on_the_list_and_shows_its_picture() -> None:
    listed = (REPOSITORY / "docs" / "guide" / "README.md").read_text("utf-8")

    for page in recipes.recipes():
        assert f"({page.name})" in listed
        assert recipes.tasks_of(page)
        assert f"(../images/guide/{page.stem}.jpg)" in page.read_text("utf-8")
        assert (REPOSITORY / "docs" / "images" / "guide" / f"{page.stem}.jpg").is_file()


async def test_strength_takes_the_picture_away_from_the_photo(studio: Studio) -> None:
    steps = await recipes.cook(studio, REPOSITORY / "docs/guide/strength.md")

    assert [step.result["effectiveSteps"] for step in steps] == [4, 8, 12, 16]
    distances = [distance(step.seed, step.image) for step in steps]
    assert distances == sorted(distances)


async def test_each_style_is_another_picture(studio: Studio) -> None:
    pictures = by_name(await recipes.cook(studio, REPOSITORY / "docs/guide/style-adaptation.md"))

    for number, one in enumerate(pictures):
        for other in pictures[:number]:
            assert distance(one, other) > 10
    charcoal, _, line_art, _, blueprint = (np.asarray(picture, float) for picture in pictures)
    for gray in (charcoal, line_art):
        assert np.ptp(gray, axis=2).mean() < 16
    # The LoRA's paper is blue.
    assert (blueprint[..., 2] - blueprint[..., 0]).mean() > 60


async def test_references_lend_their_palettes(studio: Studio) -> None:
    steps = await recipes.cook(studio, REPOSITORY / "docs/guide/reference-pictures.md")
    by_coffee, vaporwave, by_vaporwave, with_words = (
        np.asarray(picture, float) for picture in by_name(steps)
    )
    photo, coffee = (
        np.asarray(each, float) for each in (recipes.photo(), recipes.photo(recipes.OTHER_PHOTO))
    )

    def palette(picture: np.ndarray) -> np.ndarray:
        return np.concatenate([picture.mean((0, 1)), picture.std((0, 1))])

    for made, reference in ((by_coffee, coffee), (by_vaporwave, vaporwave), (with_words, coffee)):
        before = np.abs(palette(photo) - palette(reference)).sum()
        assert np.abs(palette(made) - palette(reference)).sum() < 0.7 * before


async def test_guide_images_are_made_of_the_photo_and_differ(studio: Studio) -> None:
    steps = await recipes.cook(studio, REPOSITORY / "docs/guide/guide-images.md")

    assert len({step.task["preProcessorType"] for step in steps}) == len(steps)
    for number, step in enumerate(steps):
        assert step.image.size == step.seed.size
        for other in steps[:number]:
            assert distance(step.image, other.image) > 4
    canny = next(step.image for step in steps if step.task["preProcessorType"] == "canny")
    assert {pixel for _, pixel in canny.convert("L").getcolors()} == {0, 255}


async def test_passes_go_on_from_what_came_before(studio: Studio) -> None:
    first, second, third, at_once = await recipes.cook(studio, REPOSITORY / "docs/guide/multiple-passes.md")

    assert second.seed is first.image
    assert third.seed is second.image
    # A pass of falling strength changes less than the one before, and all together more than the first.
    assert distance(third.seed, third.image) < distance(first.seed, first.image)
    assert distance(first.seed, third.image) > distance(first.seed, first.image)

    # The same in one request: near to what the three gave.
    assert at_once.result["effectiveSteps"] == sum(
        step.result["effectiveSteps"] for step in (first, second, third)
    )
    assert distance(at_once.image, third.image) < distance(at_once.image, at_once.seed)


async def test_negative_prompts_lead_away_from_what_they_name(studio: Studio) -> None:
    pictures = by_name(await recipes.cook(studio, REPOSITORY / "docs/guide/semantic-negative-prompts.md"))
    snow, not_warm, fog, not_dark = (np.asarray(picture, float) for picture in pictures)

    # Each negative prompt names one thing, for the whole picture, so that one mean tells whether it acts.
    assert (not_warm[..., 0] - not_warm[..., 2]).mean() < (snow[..., 0] - snow[..., 2]).mean()
    assert not_dark.mean() > fog.mean()


async def test_upscaling_keeps_the_composition(studio: Studio) -> None:
    small, large = await recipes.cook(studio, REPOSITORY / "docs/guide/creative-upscaling.md")

    assert large.image.size == (640, 384)
    shrunk, original = (
        np.asarray(picture.convert("L").resize((40, 24), Image.Resampling.BOX), float)
        for picture in (large.image, small.image)
    )
    assert np.corrcoef(shrunk.ravel(), original.ravel())[0, 1] > 0.8


async def test_anchors_still_make_autumn(studio: Studio) -> None:
    for step in await recipes.cook(studio, REPOSITORY / "docs/guide/prompt-anchoring.md"):
        made, photo = np.asarray(step.image, float), np.asarray(step.seed.convert("RGB"), float)
        assert (made[..., 0] - made[..., 2]).mean() > (photo[..., 0] - photo[..., 2]).mean() + 20


async def test_masks_and_margins_keep_the_rest(studio: Studio) -> None:
    page = REPOSITORY / "docs/guide/inpainting-and-outpainting.md"
    masked, zoomed, small, continued = by_name(await recipes.cook(studio, page))

    photo = np.asarray(recipes.photo().resize(masked.size, Image.Resampling.LANCZOS), int)
    for picture in (masked, zoomed):
        changed = np.abs(np.asarray(picture, int) - photo).max(axis=2) > 0
        assert changed[24:136, 172:376].mean() > 0.9
        assert not changed[160:].any()
        assert not changed[:, :140].any()
    assert distance(masked, zoomed) > 1

    # The blur of 16 pixels is the only part of the original that changes.
    kept = continued.crop((64 + 16, 64 + 16, 320 - 16, 256))
    assert kept.tobytes() == small.crop((16, 16, 256 - 16, 192)).tobytes()
    assert distance(continued.crop((0, 0, 64, 256)), small.crop((0, 0, 64, 192))) > 5
