"""What the form makes of the model that is chosen, and of settings that it has no fields for."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import expect

from underpaint.diffusion.schedulers import FLOW_SCHEDULERS
from underpaint.images import encode_image

from .browser import Playground
from .test_programs import printed_by, shown

pytestmark = pytest.mark.asyncio(loop_scope="session")

BEYOND_THE_FORM = {
    "clipSkip": 1,
    "promptWeighting": "compel",
    "acceleratorOptions": {"deepCache": True, "deepCacheInterval": 2, "deepCacheBranchId": 0},
    "passes": [{}, {"strength": 0.3, "positivePrompt": "snow"}],
}


async def test_a_model_of_flows_has_its_own_schedulers_and_strength(playground: Playground) -> None:
    page = playground.page
    await expect(page.locator("#strength-hint")).to_contain_text("0.3 to 0.7 restyles")
    await expect(page.locator("#strengthCurve")).to_be_hidden()
    assert await page.locator("#scheduler option:disabled").count() == 0
    await page.locator("#model-search").fill("test:3@1")
    await page.locator("#model-search").press("Tab")
    await expect(page.locator("#strengthCurve")).to_be_visible()
    await expect(page.locator("#strength-hint")).to_contain_text("0.8 and more restyles")
    offered = await page.locator("#scheduler option:enabled").all_text_contents()
    left_out = await page.locator("#scheduler option:disabled").all_text_contents()
    assert set(offered) <= FLOW_SCHEDULERS.keys()
    assert left_out
    assert not set(left_out) & FLOW_SCHEDULERS.keys()
    await playground.quick(strengthCurve="perceptual", steps=4)
    await expect(page.locator("#strength-hint")).to_contain_text("0.3 to 0.7 restyles")
    await playground.paint()
    await playground.finished(1)
    [made] = await page.evaluate("JSON.parse(localStorage['underpaint.history'])")
    assert made["parameters"]["strengthCurve"] == "perceptual"
    # Where it would be refused, it is neither shown nor said.
    await page.locator("#model-search").fill("underpaint:1@2")
    await page.locator("#model-search").press("Tab")
    await expect(page.locator("#strengthCurve")).to_be_hidden()
    await playground.paint()
    await playground.finished(2)


async def test_what_the_form_has_no_field_for_is_taken_along(playground: Playground) -> None:
    page = playground.page
    parameters = {
        "model": "underpaint:1@2",
        "positivePrompt": "(oil)1.2 painting",
        "steps": 4,
        "strength": 0.5,
        "width": 128,
        "height": 128,
        "lora": [{"model": "underpaint:lora@1", "weight": 0.7}],
        **BEYOND_THE_FORM,
    }
    made = encode_image(Image.new("RGB", (128, 128), "teal"), format="PNG", parameters=parameters)
    await playground.drop(made, "made.png", "image/png")
    await page.locator("#use-metadata").click()
    await expect(page.locator("#carried button")).to_have_text([f"{name} ×" for name in BEYOND_THE_FORM])
    await page.reload()
    await playground.ready()
    await playground.paint()
    await playground.finished(1)
    [kept] = await page.evaluate("JSON.parse(localStorage['underpaint.history'])")
    assert {name: kept["parameters"][name] for name in parameters} == parameters
    await page.get_by_role("button", name="Leave passes out").click()
    await playground.paint()
    await playground.finished(2)
    await page.locator("#code-button").click()
    [task] = json.loads(await page.locator("#code-text").inner_text())
    assert "passes" not in task
    assert task["clipSkip"] == 1
    # What is wrong with one is said beside them.
    await page.keyboard.press("Escape")
    await page.locator("#model-search").fill("test:3@1")
    await page.locator("#model-search").press("Tab")
    await playground.paint()
    await expect(page.locator("#carried-field .error")).to_contain_text(
        re.compile("clipSkip|promptWeighting")
    )
    # They come with the settings of a result, too.
    await playground.page.locator("#history li button").last.click()
    await page.locator("#use-settings").click()
    await expect(page.locator("#carried button")).to_have_count(4)


async def test_the_python_program_of_nested_settings_runs(playground: Playground, tmp_path: Path) -> None:
    page = playground.page
    made = encode_image(
        Image.new("RGB", (128, 128), "teal"),
        format="PNG",
        parameters={
            "model": "underpaint:1@2",
            "positivePrompt": "oil",
            "steps": 4,
            "width": 128,
            "height": 128,
            "acceleratorOptions": {"deepCache": True},
        },
    )
    await playground.drop(made, "made.png", "image/png")
    await page.locator("#use-metadata").click()
    program = await shown(page, "Python")
    assert '"acceleratorOptions": {"deepCache": True}' in program
    printed = await printed_by("Python", program, tmp_path)
    assert "/images/" in printed
