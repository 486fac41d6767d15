"""Sweeps, sheets and chains of passes."""

import io

import pytest
from PIL import Image
from playwright.async_api import expect

from .browser import Playground

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def swept(playground: Playground) -> None:
    await playground.quick(width=128, height=128)
    await playground.page.locator("#sweep-button").click()
    await playground.finished(1)


async def test_one_click_sweeps_strength_from_one_seed(playground: Playground) -> None:
    await swept(playground)
    film = playground.page.locator(".film .cell")
    await expect(film).to_have_count(11)
    assert all("/images/" in source for source in await playground.sources(".film"))
    await expect(playground.page.locator("#history .badge")).to_have_text("11")
    stored = await playground.page.evaluate("JSON.parse(localStorage['underpaint.history'])")
    assert sorted(each["parameters"]["strength"] for each in stored) == [n / 10 for n in range(11)]
    assert len({each["seed"] for each in stored}) == 1
    assert [each["steps"] for each in stored if each["parameters"]["strength"] in {0, 1}] in ([0, 4], [4, 0])


async def test_the_slider_goes_through_a_sweep(playground: Playground) -> None:
    await swept(playground)
    slider = playground.page.locator("#sweep")
    film = await playground.sources(".film")
    await slider.focus()
    await slider.press("ArrowRight")
    await expect(playground.page.locator(".sweep-bar output")).to_have_text("strength 0.6")
    assert (await playground.sources(".sweep-picture"))[0] == film[6]
    await playground.page.locator(".film .cell").first.click()
    assert (await playground.sources(".sweep-picture"))[0] == film[0]
    # Between two pictures, both are seen.
    await slider.evaluate("(range) => { range.value = 2.5; range.dispatchEvent(new Event('input')); }")
    assert await playground.sources(".sweep-picture") == film[2:4]
    opacity = await playground.page.locator(".sweep-picture .over").evaluate("(over) => over.style.opacity")
    assert float(opacity) == pytest.approx(0.5, abs=0.02)


async def test_a_sweep_outlives_a_reload_and_is_looked_at_closely(playground: Playground) -> None:
    await swept(playground)
    film = await playground.sources(".film")
    await playground.page.reload()
    await playground.ready()
    await playground.page.locator("#history .thumb").click()
    assert await playground.sources(".film") == film
    await playground.page.locator("#open-cell").click()
    assert (await playground.sources("#scene"))[1] == film[5]
    await playground.page.locator("#show-sheet").click()
    assert await playground.sources(".film") == film


async def test_a_sheet_of_two_settings_is_downloaded_as_one_labelled_picture(playground: Playground) -> None:
    page = playground.page
    await playground.quick()
    await page.locator("#sheet-button").click()
    await page.select_option("#sheet-x", "positivePrompt")
    await page.fill("#sheet-x-values", "ink, black\n<b>oil</b>\nsnow")
    await page.select_option("#sheet-y", "positivePrompt")
    await expect(page.locator("#paint-sheet")).to_be_disabled()
    await page.select_option("#sheet-y", "negativePrompt")
    await page.fill("#sheet-y-values", "\ndark, night")
    await expect(page.locator("#sheet-count")).to_contain_text("6 pictures")
    await page.locator("#paint-sheet").click()
    await playground.finished(1)
    await expect(page.locator(".sheet .cell:not(.waiting)")).to_have_count(6)
    assert await page.locator(".sheet thead th").all_inner_texts() == ["ink, black", "<b>oil</b>", "snow"]
    assert await page.locator(".sheet tbody th").all_inner_texts() == [
        "without nothing",
        "without dark, night",
    ]
    async with page.expect_download() as coming:
        await page.locator("#download-sheet").click()
    download = await coming.value
    assert download.suggested_filename == "underpaint-prompt-by-negative-prompt.png"
    picture = Image.open(io.BytesIO((await download.path()).read_bytes()))
    # Square cells of 320 pixels, and labels above and beside them.
    assert picture.width > 3 * 320
    assert picture.height > 2 * 320


async def test_what_a_sheet_varies_is_judged_by_the_server(playground: Playground) -> None:
    await playground.quick()
    await playground.page.locator("#sheet-button").click()
    await playground.page.select_option("#sheet-x", "steps")
    await playground.page.fill("#sheet-x-values", "2, many")
    await playground.page.locator("#paint-sheet").click()
    await expect(playground.page.locator('[data-parameter="steps"] .error')).to_contain_text("'steps'")
    await playground.finished(1)
    await expect(playground.page.locator(".film .cell:not(.waiting)")).to_have_count(1)


async def test_a_sheet_is_cancelled_as_a_whole(playground: Playground) -> None:
    await playground.slow(width=512, height=512, steps=100)
    await playground.page.locator("#sweep-button").click()
    await expect(playground.page.locator(".film .waiting")).not_to_have_count(0)
    await playground.page.locator("#cancel").click()
    await expect(playground.page.locator("#status")).to_have_text("Ready")
    await expect(playground.page.locator("#notice")).to_be_hidden()


async def test_an_earlier_pass_is_changed_and_the_later_ones_repeated(playground: Playground) -> None:
    page = playground.page
    await playground.quick(positivePrompt="ink", seed=5)
    await playground.paint()
    await playground.finished(1)
    await page.locator("#use-as-photo").click()
    await playground.set(positivePrompt="snow")
    await playground.paint()
    await playground.finished(2)
    await page.locator("#passes .thumb").nth(1).click()
    # The strip stays whole while one looks at its beginning.
    await expect(page.locator("#passes .thumb")).to_have_count(3)
    await page.locator("#use-settings").click()
    assert await page.input_value("#positivePrompt") == "ink"
    await playground.set(positivePrompt="neon")
    await playground.paint()
    await playground.finished(3)
    await page.locator("#repeat-passes").click()
    await playground.finished(4)
    await expect(page.locator("#passes .thumb")).to_have_count(3)
    titles = await page.locator("#passes li").evaluate_all("(all) => all.map((each) => each.title)")
    assert titles == ["", "neon", "snow"]
