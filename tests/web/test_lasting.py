"""What outlives a reload, a lost connection and the server's own end."""

import pytest
from playwright.async_api import expect

from tests.clients.server_process import ServerProcess

from .browser import EXAMPLE_PHOTO, Playground
from .conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_reload_keeps_history_settings_and_photo(playground: Playground) -> None:
    await playground.quick(positivePrompt="line art", strength=0.35)
    await playground.paint()
    await playground.finished(1)
    shown = await playground.sources("#history")
    await playground.page.reload()
    await playground.ready()
    assert await playground.sources("#history") == shown
    assert (await playground.sources("#scene"))[1:] == shown
    assert await playground.page.input_value("#positivePrompt") == "line art"
    assert await playground.page.input_value("#strength-number") == "0.35"
    assert await playground.page.input_value("#width") == "128"
    await playground.set(strength=0.9)
    await playground.page.locator("#use-settings").click()
    assert await playground.page.input_value("#strength-number") == "0.35"
    await playground.paint()
    await playground.finished(2)


async def test_a_run_goes_on_across_a_reload(playground: Playground) -> None:
    await playground.slow()
    await playground.paint()
    await expect(playground.page.locator(".tile .preview.shown")).to_be_visible()
    await playground.page.reload()
    await playground.ready()
    await playground.finished(1)


async def test_history_can_be_cleared(playground: Playground) -> None:
    await playground.quick()
    await playground.paint()
    await playground.finished(1)
    await playground.page.locator("#clear-history").click()
    await expect(playground.page.locator("#history li")).to_have_count(0)
    await playground.page.reload()
    await playground.ready()
    await expect(playground.page.locator("#history-empty")).to_be_visible()


async def test_a_restart_of_the_server_in_mid_run_is_survived(
    visit: Visit, restartable: ServerProcess
) -> None:
    visitor = await visit(restartable.url)
    # The browser itself reports each attempt to connect while nobody listens.
    visitor.expected = ("WebSocket connection to",)
    await visitor.open()
    await visitor.slow()
    await visitor.page.locator("#mask-button").click()
    await visitor.page.keyboard.press("Space")
    await visitor.page.locator("#mask-done").click()
    await visitor.page.get_by_text("Guide images").click()
    await visitor.page.locator("#add-guide").click()
    async with visitor.page.expect_file_chooser() as chooser:
        await visitor.page.locator("#guide-0-choose").click()
    await (await chooser.value).set_files(EXAMPLE_PHOTO)
    await visitor.page.locator("#add-guide").click()
    await visitor.page.select_option("#guide-1-model", "test:2@1")
    await visitor.page.locator("#guide-1-make").click()
    await expect(visitor.page.locator(".guide-picture")).to_have_count(2)
    await visitor.paint()
    await expect(visitor.page.locator(".tile .preview.shown")).to_be_visible()
    process = restartable.running()
    process.kill()
    process.wait()
    await expect(visitor.page.locator("#status")).not_to_have_attribute("data-state", "ready")
    restartable.start()
    await visitor.finished(1)
    assert "/images/" in (await visitor.sources("#scene"))[1]
    # Mask and guides are still the page's, and the server's.
    await visitor.page.reload()
    await visitor.ready()
    await expect(visitor.page.locator("#mask-button")).to_have_text("Masked")
    mask = await visitor.page.evaluate("JSON.parse(localStorage['underpaint.mask']).url")
    guides = await visitor.sources(".guide-picture")
    assert len(guides) == 2
    for url in (mask, *guides):
        assert (await visitor.page.request.get(url)).ok
    await visitor.quick(width=256, height=256)
    await visitor.paint()
    await visitor.finished(2)
    made = await visitor.page.evaluate("JSON.parse(localStorage['underpaint.history'])")
    asked = [
        {name: each["parameters"][name] for name in ("ipAdapters", "controlNet", "maskImage")}
        for each in made
    ]
    assert asked[0] == asked[1]
    assert {each["uuid"] for [each] in made[0]["guides"].values() for each in each} == {
        asked[0]["ipAdapters"][0]["guideImage"],
        asked[0]["controlNet"][0]["guideImage"],
    }
