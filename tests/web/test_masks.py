"""Painting masks, continuing a photo beyond its sides, and pictures that bring their parameters along."""

import io
import json

import pytest
from PIL import Image, ImageChops
from playwright.async_api import expect

from underpaint.images import encode_image
from underpaint.images.encode import OutputFormat

from .browser import PHONE, Playground
from .conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def picture_at(playground: Playground, url: str) -> Image.Image:
    reply = await playground.page.request.get(url)
    return Image.open(io.BytesIO(await reply.body())).convert("RGB")


async def masked_and_plain(playground: Playground) -> tuple[Image.Image, Image.Image]:
    """The picture with the mask that is set, and the fitted photo that it was painted over."""
    await playground.quick(strength=0.9, outputFormat="PNG")
    await playground.paint()
    await playground.finished(1)
    masked = await picture_at(playground, (await playground.sources("#history"))[0])
    await playground.page.locator("#mask-button").click()
    await playground.page.get_by_role("button", name="No mask").click()
    await playground.set(strength=0)
    await playground.paint()
    await playground.finished(2)
    return masked, await picture_at(playground, (await playground.sources("#history"))[0])


async def test_only_what_was_marked_is_painted_anew(playground: Playground) -> None:
    await playground.page.locator("#mask-button").click()
    canvas = playground.page.locator(".masking canvas")
    box = await canvas.bounding_box()
    assert box is not None
    mouse = playground.page.mouse
    await mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.2)
    await mouse.down()
    await mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.8, steps=5)
    await mouse.up()
    await playground.page.locator("#mask-done").click()
    await expect(playground.page.locator("#mask-button")).to_have_text("Masked")
    masked, plain = await masked_and_plain(playground)
    changed = ImageChops.difference(masked, plain)
    # The picture shows the middle of the photo: three tenths across the photo are two tenths across it.
    assert changed.crop((16, 40, 34, 90)).getbbox() is not None
    assert changed.crop((64, 0, 128, 128)).getbbox() is None


async def test_a_mask_is_painted_by_keyboard(playground: Playground) -> None:
    await playground.page.locator("#mask-button").focus()
    keyboard = playground.page.keyboard
    await keyboard.press("Enter")
    await expect(playground.page.locator(".masking canvas")).to_be_focused()
    for _ in range(2):
        await keyboard.press("Shift+ArrowRight")
    await keyboard.press("]")
    await keyboard.press("Space")
    await playground.page.locator("#mask-done").focus()
    await keyboard.press("Enter")
    await expect(playground.page.locator("#scene .marked")).to_be_visible()
    # It outlives a reload, and goes on being painted from what it is.
    await playground.until("localStorage['underpaint.mask'] !== undefined")
    await playground.page.reload()
    await playground.ready()
    await expect(playground.page.locator("#mask-button")).to_have_text("Masked")
    await playground.page.locator("#mask-button").click()
    marked = """() => {
        const { width, height } = document.querySelector(".masking canvas");
        const context = document.querySelector(".masking canvas").getContext("2d");
        return [0.7, 0.1].map((x) => context.getImageData(x * width, 0.5 * height, 1, 1).data[3]);
    }"""
    await playground.until(f"({marked})()[0] > 0")
    assert await playground.page.evaluate(marked) == [255, 0]
    await playground.set(maskMargin=32)
    # Painting takes the mask that is being marked.
    masked, plain = await masked_and_plain(playground)
    margins = await playground.page.evaluate(
        "JSON.parse(localStorage['underpaint.history']).map(({ parameters }) => parameters.maskMargin ?? null)"
    )
    assert margins == [None, 32]
    changed = ImageChops.difference(masked, plain)
    assert changed.crop((96, 56, 108, 72)).getbbox() is not None
    assert changed.crop((0, 0, 64, 128)).getbbox() is None


@pytest.mark.parametrize("format", ["PNG", "JPG", "WEBP"])
async def test_a_picture_brings_its_parameters_along(playground: Playground, format: OutputFormat) -> None:
    parameters = {
        "model": "underpaint:1@2",
        "positivePrompt": "Öl <b>auf</b> Leinwand",
        "negativePrompt": "fog",
        "seed": 9007199254740993,
        "steps": 12,
        "strength": 0.45,
        "scheduler": "DDIM",
        "CFGScale": 5.5,
        "width": 256,
        "height": 192,
    }
    made = encode_image(Image.new("RGB", (256, 192), "teal"), format=format, parameters=parameters)
    await playground.drop(made, "made.bin", f"image/{format.lower().replace('jpg', 'jpeg')}")
    await expect(playground.page.locator("#notice")).to_contain_text("Öl <b>auf</b> Leinwand")
    await playground.page.locator("#use-metadata").click()
    await playground.page.locator("#code-button").click()
    [task] = json.loads(await playground.page.locator("#code-text").inner_text())
    assert {name: task[name] for name in parameters} == parameters


async def test_a_broken_note_in_a_picture_is_no_news(playground: Playground) -> None:
    made = encode_image(Image.new("RGB", (64, 64)), format="PNG", parameters={"positivePrompt": "x"})
    await playground.drop(made.replace(b'{"positivePrompt"', b'["positivePrompt"'), "broken.png", "image/png")
    await expect(playground.page.locator("#photo-name")).to_have_text("broken.png")
    await expect(playground.page.locator("#notice")).to_be_hidden()


async def test_handles_continue_a_photo_by_pointer_and_keyboard(playground: Playground) -> None:
    page = playground.page
    await playground.set(width=576, height=384)
    await page.locator("#outpaint-button").click()
    right, top = (
        page.get_by_role("slider", name=f"Pixels to add at the {side}") for side in ("right", "top")
    )
    await expect(right).to_be_focused()
    for key in ("ArrowRight", "ArrowUp", "PageUp", "ArrowLeft"):
        await right.press(key)
    await expect(right).to_have_attribute("aria-valuetext", "320 pixels; the picture has 896 by 384")
    assert await page.input_value("#outpaint-right") == "320"
    assert await page.input_value("#width") == "896"
    photo = await page.locator(".extension img").bounding_box()
    box = await top.bounding_box()
    assert photo is not None
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await page.mouse.down()
    # As far as a third of the photo's height, in pixels of the screen: 128 of the picture.
    await page.mouse.move(box["x"], box["y"] + box["height"] / 2 - photo["height"] / 3, steps=3)
    await page.mouse.up()
    await expect(top).to_have_attribute("aria-valuenow", "128")
    assert await page.input_value("#height") == "512"
    await right.press("End")
    assert await page.input_value("#width") == "2048"
    await right.press("Home")
    assert await page.input_value("#width") == "576"
    # Numbers and handles show the same, also after a reload.
    await page.fill("#outpaint-left", "64")
    await expect(page.locator(".added.left")).to_have_text("+64")
    await page.reload()
    await playground.ready()
    await expect(top).to_have_attribute("aria-valuenow", "128")
    await expect(page.locator(".extension .tag")).to_have_text("640 × 512")
    await page.locator("#outpaint-strength").click()
    assert await page.input_value("#strength-number") == "0.8"
    await page.locator("#outpaint-none").click()
    await expect(page.locator(".extending")).to_have_count(0)
    assert await page.input_value("#height") == "384"
    await expect(page.locator("#outpaint-button")).to_have_attribute("aria-pressed", "false")


async def test_handles_are_drawn_by_a_finger(visit: Visit) -> None:
    visitor = await (await visit(**PHONE)).open()
    page = visitor.page
    await page.locator("#outpaint-button").tap()
    handle = page.get_by_role("slider", name="Pixels to add at the bottom")
    await expect(handle).to_be_visible()
    box = await handle.bounding_box()
    assert box is not None
    touch = await page.context.new_cdp_session(page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x, "y": y + 40}]),
        ("touchMove", [{"x": x, "y": y + 60}]),
        ("touchEnd", []),
    ):
        await touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    await expect(page.locator(".added.bottom")).to_be_visible()
    assert int(await page.input_value("#outpaint-bottom")) >= 64
    assert await page.evaluate("document.documentElement.scrollWidth") == 390


async def test_a_photo_is_continued_beyond_its_sides(playground: Playground) -> None:
    page = playground.page
    await playground.drop(
        encode_image(Image.new("RGB", (128, 128), "red"), format="PNG"), "red.png", "image/png"
    )
    await playground.quick(strength=1, outputFormat="PNG")
    await page.fill("#outpaint-left", "64")
    assert await page.input_value("#width") == "192"
    await playground.paint()
    await playground.finished(1)
    [_, after] = await playground.sources("#scene")
    picture = await picture_at(playground, after)
    assert picture.size == (192, 128)
    assert picture.getpixel((160, 64)) == (255, 0, 0)
    # The photo lies over its own part of the picture.
    [photo, whole] = [
        await page.locator(f".compare img.{name}").bounding_box() for name in ("before", "after")
    ]
    assert photo is not None
    assert whole is not None
    assert photo["width"] == pytest.approx(whole["width"] * 2 / 3, abs=1)
    assert photo["x"] == pytest.approx(whole["x"] + whole["width"] / 3, abs=1)
    await page.fill("#outpaint-left", "30")
    await playground.paint()
    await expect(page.locator('[data-parameter~="outpaint"] .error')).to_contain_text("64")
