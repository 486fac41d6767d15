"""What leads beside the prompt: LoRAs, and pictures with the IP-Adapters and ControlNets by which they do."""

import json
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import expect

from underpaint.images import encode_image

from .browser import EXAMPLE_PHOTO, Playground

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def choose(playground: Playground, file: Path) -> None:
    async with playground.page.expect_file_chooser() as chooser:
        await playground.page.locator("#guide-0-choose").click()
    await (await chooser.value).set_files(file)


async def test_pictures_lead_and_outlive_a_reload(playground: Playground) -> None:
    page = playground.page
    await playground.quick()
    await page.get_by_text("Guide images").click()
    await page.locator("#add-guide").click()
    await expect(page.locator("#guide-0-model")).to_have_value("test:1@1")
    # What ships for the embedded model is there without being added.
    await expect(page.locator("#guide-0-model option[value='underpaint:ip@1']")).to_have_count(1)
    await expect(page.locator("#guide-0-choose")).to_be_focused()
    red = encode_image(Image.new("RGB", (64, 48), "red"), format="PNG")
    await playground.drop(red, "red.png", "image/png", on=".guide-zone")
    # It is no new photo, and leads alone: there is nothing to combine.
    await expect(page.locator("#guide-0-combineMethod")).to_have_count(0)
    await expect(page.locator("#photo-name")).to_have_text("The example photo")
    await choose(playground, EXAMPLE_PHOTO)
    await expect(page.locator(".guide-picture")).to_have_count(2)
    await page.select_option("#guide-0-combineMethod", "average")
    await page.locator("#guide-0-weight").focus()
    await page.keyboard.press("ArrowLeft")
    assert await page.input_value("#guide-0-weight-number") == "0.55"
    await playground.paint()
    await playground.finished(1)
    [made] = await page.evaluate("JSON.parse(localStorage['underpaint.history'])")
    [asked] = made["parameters"]["ipAdapters"]
    guides = asked.pop("guideImages")
    assert len(set(guides)) == 2
    assert asked == {"model": "test:1@1", "weight": 0.55, "combineMethod": "average"}

    await page.reload()
    await playground.ready()
    await expect(page.locator(".guide-picture img")).to_have_count(2)
    assert all("/images/" in source for source in await playground.sources(".guide-picture"))
    await page.locator("#code-button").click()
    [task] = json.loads(await page.locator("#code-text").inner_text())
    assert task["ipAdapters"] == [{**asked, "guideImages": guides}]
    await page.keyboard.press("Escape")

    # Pictures and guides are taken away, and come back with the settings of the result.
    await page.locator("#guides").evaluate("(section) => section.scrollIntoView()")
    await page.get_by_role("button", name="Take red.png away").click()
    await expect(page.locator("#guide-0-choose")).to_be_focused()
    await page.get_by_role("button", name="Take guide 1 away").click()
    await expect(page.locator(".guide")).to_have_count(0)
    await page.locator("#use-settings").click()
    assert await playground.sources(".guide-picture") == [
        guide["url"] for guide in made["guides"]["ipAdapters"][0]
    ]


async def test_what_is_wrong_with_a_guide_is_said_at_it(playground: Playground) -> None:
    page = playground.page
    await playground.quick()
    await page.get_by_text("Guide images").click()
    await page.locator("#add-guide").click()
    await playground.paint()
    guide = page.locator('.guide[data-parameter="ipAdapters[0]"] > .error')
    await expect(guide).to_contain_text("'ipAdapters[0].guideImage' is required")
    await playground.drop(b"GIF89a", "broken.gif", "image/gif", on=".guide-zone")
    await expect(guide).to_contain_text("broken.gif is not a picture")
    await choose(playground, EXAMPLE_PHOTO)
    await page.fill("#guide-0-weight-number", "7")
    await playground.paint()
    weight = page.locator('[data-parameter="ipAdapters[0].weight"] .error')
    await expect(weight).to_contain_text("between -1 and 1")
    await expect(page.locator("#guide-0-weight-number")).to_have_attribute("aria-invalid", "true")
    await expect(page.locator("#guide-0-weightType")).not_to_have_attribute("aria-invalid", "true")
    await page.fill("#guide-0-weight-number", "0.5")
    await expect(weight).to_be_hidden()


async def test_what_is_typed_while_a_picture_comes_is_not_torn_apart(playground: Playground) -> None:
    page = playground.page
    await playground.quick()
    await page.get_by_text("Guide images").click()
    await page.locator("#add-guide").click()
    weight = page.locator("#guide-0-weight-number")
    await weight.select_text()
    await playground.drop(EXAMPLE_PHOTO.read_bytes(), "photo.jpg", "image/jpeg", on=".guide-zone")
    await expect(page.locator(".guide-picture")).to_have_count(1)
    await page.keyboard.type("0.85")
    await expect(weight).to_have_value("0.85")
    await page.locator(".guide-picture").click()
    await expect(page.locator(".guide-picture")).to_have_count(0)
    await expect(weight).to_have_value("0.85")
    await page.locator("#add-guide").click()
    await expect(page.locator("#guide-1-weight-number")).to_have_value("0.6")


async def test_a_controlnet_follows_a_map_of_the_photo(playground: Playground) -> None:
    page = playground.page
    await playground.quick()
    await page.get_by_text("Guide images").click()
    await page.locator("#add-guide").click()
    await page.select_option("#guide-0-model", "test:2@1")
    await expect(page.locator("#guide-0-map")).to_have_value("canny")
    await page.locator("#guide-0-make").click()
    await expect(page.get_by_role("button", name="Take The canny map away")).to_be_visible()
    await expect(page.locator("#guide-0-choose")).to_be_hidden()
    await page.fill("#guide-0-weight-number", "0.5")
    await page.fill("#guide-0-endStepPercentage-number", "70")
    await page.select_option("#guide-0-controlMode", "prompt")
    await playground.paint()
    await playground.finished(1)
    [made] = await page.evaluate("JSON.parse(localStorage['underpaint.history'])")
    [asked] = made["parameters"]["controlNet"]
    [record] = made["guides"]["controlNet"][0]
    assert asked == {
        "model": "test:2@1",
        "guideImage": record["uuid"],
        "weight": 0.5,
        "endStepPercentage": 70,
        "controlMode": "prompt",
    }
    await page.fill("#guide-0-startStepPercentage-number", "80")
    await playground.paint()
    error = page.locator('[data-parameter="controlNet[0].endStepPercentage"] .error')
    await expect(error).to_contain_text("must be greater than")


async def test_an_editing_model_looks_at_reference_images(playground: Playground) -> None:
    page = playground.page
    await page.locator("#model-search").fill("test:3@1")
    await page.locator("#model-search").press("Tab")
    await playground.quick(strength=1, steps=2)
    await page.get_by_text("Guide images").click()
    await page.locator("#add-guide").click()
    await expect(page.locator("#guide-0-model option:checked")).to_have_text("Reference images")
    await page.locator("#guide-0-photo").click()
    await choose(playground, EXAMPLE_PHOTO)
    await expect(page.locator(".guide-picture")).to_have_count(2)
    await expect(page.locator("#guide-0-choose")).to_be_hidden()
    await playground.paint()
    await playground.finished(1)
    [made] = await page.evaluate("JSON.parse(localStorage['underpaint.history'])")
    references = made["parameters"]["referenceImages"]
    assert references[0] == made["source"]["uuid"]
    assert len(set(references)) == 2
    assert "ipAdapters" not in made["parameters"]

    await page.reload()
    await expect(page.locator("#status")).to_have_attribute("data-state", "ready")
    await expect(page.locator(".guide-picture img")).to_have_count(2)
    await page.locator("#code-button").click()
    [task] = json.loads(await page.locator("#code-text").inner_text())
    assert task["referenceImages"] == references
    await page.keyboard.press("Escape")
    # A model that looks at none says so at them.
    await page.locator("#model-search").fill("underpaint:1@2")
    await page.locator("#model-search").press("Tab")
    await playground.quick()
    await playground.paint()
    error = page.locator('.guide[data-parameter="referenceImages"] > .error')
    await expect(error).to_contain_text("goes with editing models only")
    await page.get_by_role("button", name="Take guide 1 away").click()
    await page.locator("#use-settings").click()
    assert await playground.sources(".guide-picture") == [
        each["url"] for each in made["guides"]["referenceImages"][0]
    ]


async def test_what_the_engine_refuses_is_said_at_the_guide(playground: Playground) -> None:
    page = playground.page
    await playground.quick()
    await page.get_by_text("Guide images").click()
    await page.locator("#add-guide").click()
    await page.locator("#add-guide").click()
    for guide in range(2):
        async with page.expect_file_chooser() as chooser:
            await page.locator(f"#guide-{guide}-choose").click()
        await (await chooser.value).set_files(EXAMPLE_PHOTO)
    await page.select_option("#guide-1-model", "test:4@1")
    await playground.paint()
    error = page.locator('.guide[data-parameter="ipAdapters[1]"] > .error')
    await expect(error).to_contain_text("it lacks 9.to_k_ip.weight")
    await expect(page.locator("#notice")).to_be_hidden()
    await expect(page.locator('.guide[data-parameter="ipAdapters[0]"] > .error')).to_be_hidden()


async def test_a_lora_acts_and_comes_back_with_the_settings(playground: Playground) -> None:
    page = playground.page
    await playground.quick(positivePrompt="blueprint", strength=1)
    await playground.paint()
    await playground.finished(1)
    await page.get_by_text("Guide images").click()
    await page.locator("#add-lora").click()
    await expect(page.locator("#guide-0-model")).to_have_value("underpaint:lora@1")
    await expect(page.locator("#guide-0-model")).to_be_focused()
    # It takes no picture, says which word wakes it, and is no choice for a picture.
    await expect(page.locator(".guide-zone")).to_have_count(0)
    await expect(page.locator("#guide-0-hint")).to_contain_text("Put into the prompt: blueprint.")
    await expect(page.locator("#guide-0-model option[value='test:1@1']")).to_have_count(0)
    await playground.paint()
    await playground.finished(2)
    made, plain = await page.evaluate("JSON.parse(localStorage['underpaint.history'])")
    assert made["parameters"]["lora"] == [{"model": "underpaint:lora@1", "weight": 1}]
    assert "lora" not in plain["parameters"]

    await page.reload()
    await playground.ready()
    await page.fill("#guide-0-weight-number", "5")
    await playground.paint()
    error = page.locator('[data-parameter="lora[0].weight"] .error')
    await expect(error).to_contain_text("between -4 and 4")
    await page.get_by_role("button", name="Take guide 1 away").click()
    await expect(page.locator("#add-lora")).to_be_focused()
    await page.locator("#use-settings").click()
    await expect(page.locator("#guide-0-weight-number")).to_have_value("1")


async def test_pictures_that_take_the_prompts_place_are_asked_for_no_weight(playground: Playground) -> None:
    page = playground.page
    await page.locator("#model-search").fill("test:3@1")
    await page.locator("#model-search").press("Tab")
    await playground.quick(strength=1, steps=2)
    await page.get_by_text("Guide images").click()
    await page.locator("#add-guide").click()
    await page.select_option("#guide-0-model", "test:5@1")
    await expect(page.locator("#guide-0-weight")).to_have_count(0)
    await choose(playground, EXAMPLE_PHOTO)
    await playground.paint()
    await playground.finished(1)
    [made] = await page.evaluate("JSON.parse(localStorage['underpaint.history'])")
    [asked] = made["parameters"]["ipAdapters"]
    assert asked.keys() == {"model", "guideImage"}
