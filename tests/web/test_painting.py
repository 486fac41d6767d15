"""From a photo to pictures: what a visitor does first."""

import io
import json
import re

import pytest
from PIL import Image
from playwright.async_api import expect

from .browser import EXAMPLE_PHOTO, Playground

pytestmark = pytest.mark.asyncio(loop_scope="session")


def photo(size: tuple[int, int], *, orientation: int = 1, format: str = "JPEG") -> bytes:
    """A file whose left half is red and whose right half is blue."""
    image = Image.new("RGB", size, "red")
    image.paste("blue", (size[0] // 2, 0, *size))
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, format, exif=exif)
    return buffer.getvalue()


async def test_the_example_is_painted(playground: Playground) -> None:
    await playground.quick()
    await playground.paint()
    await playground.finished(1)
    before, after = await playground.sources("#scene")
    assert before.startswith("blob:") or "/images/" in before
    assert "/images/" in after
    await expect(playground.page.locator(".tools")).to_contain_text("2 steps")


async def test_a_dropped_photo_is_painted_upright_and_in_its_own_shape(playground: Playground) -> None:
    # As a phone stores a portrait: lying, with a note that it is to be turned by 90 degrees.
    await playground.drop(photo((300, 150), orientation=6), "portrait.jpg", "image/jpeg")
    await expect(playground.page.locator("#photo-name")).to_have_text("portrait.jpg")
    await expect(playground.page.locator("#photo-hint")).to_have_text("150 × 300")
    width, height = [int(await playground.page.input_value(f"#{side}")) for side in ("width", "height")]
    assert height == pytest.approx(2 * width, rel=0.1)
    await playground.quick(width=128, height=256, strength=0)
    await playground.paint()
    await playground.finished(1)
    [_, after] = await playground.sources("#scene")
    reply = await playground.page.request.get(after)
    picture = Image.open(io.BytesIO(await reply.body())).convert("RGB")
    assert picture.size == (128, 256)
    # Turned clockwise, its left half is on top.
    red, blue = picture.getpixel((64, 40)), picture.getpixel((64, 216))
    assert isinstance(red, tuple)
    assert isinstance(blue, tuple)
    assert red[0] > 200 > 60 > red[2]
    assert blue[2] > 200 > 60 > blue[0]


async def test_a_huge_photo_is_made_smaller_before_it_is_sent(playground: Playground) -> None:
    await playground.drop(photo((5000, 2500)), "huge.jpg", "image/jpeg")
    await expect(playground.page.locator("#photo-hint")).to_have_text("2048 × 1024")


async def test_what_is_no_picture_is_refused_at_the_photo(playground: Playground) -> None:
    await playground.drop(b"%PDF-1.7 this is none", "letter.pdf", "application/pdf")
    await expect(playground.page.locator(".photo .error")).to_contain_text("letter.pdf is not a picture")
    await expect(playground.page.locator("#photo-name")).to_have_text("The example photo")


async def test_a_file_is_chosen(playground: Playground) -> None:
    await playground.page.set_input_files("#photo-file", EXAMPLE_PHOTO)
    await expect(playground.page.locator("#photo-name")).to_have_text("photo.jpg")
    await expect(playground.page.locator("#photo-hint")).to_have_text("640 × 427")


async def test_a_picture_is_pasted(playground: Playground) -> None:
    await playground.page.evaluate(
        """async () => {
            const canvas = Object.assign(document.createElement("canvas"), { width: 96, height: 64 });
            const blob = await new Promise((resolve) => canvas.toBlob(resolve));
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File([blob], "image.png", { type: "image/png" }));
            const event = new ClipboardEvent("paste", { bubbles: true, cancelable: true, clipboardData });
            document.body.dispatchEvent(event);
        }"""
    )
    await expect(playground.page.locator("#photo-name")).to_have_text("The pasted picture")
    await expect(playground.page.locator("#photo-hint")).to_have_text("96 × 64")


async def test_place_in_the_queue_and_time_left_are_told(playground: Playground) -> None:
    # More than the engine takes into one pass.
    await playground.slow(width=512, height=512, steps=100, numberResults=20)
    await playground.paint()
    say = playground.page.locator(".tile .say")
    for words in (r"\d+ before it in the queue", r"about \d+ s left"):
        await expect(say.filter(has_text=re.compile(words)).first).to_be_visible()
    await playground.page.locator("#cancel").click()
    await playground.finished(0)


async def test_progress_and_previews_arrive_and_a_run_can_be_cancelled(playground: Playground) -> None:
    await playground.slow(width=512, height=512, steps=100)
    await playground.paint()
    tile = playground.page.locator(".tile")
    await expect(tile.locator(".preview.shown")).to_be_visible()
    await expect(tile.locator(".say")).to_contain_text("of 100")
    await expect(playground.page.locator("#status")).to_have_text("Painting 1 task")
    await playground.page.locator("#cancel").click()
    await playground.finished(0)
    await expect(playground.page.locator(".tile")).to_have_count(0)
    await expect(playground.page.locator("#scene img")).to_be_visible()


async def test_several_results_can_be_chosen_from(playground: Playground) -> None:
    await playground.quick(numberResults=3)
    await playground.paint()
    await playground.finished(3)
    await playground.page.locator("#scene button.tile").nth(1).click()
    await expect(playground.page.locator("#scene .compare")).to_be_visible()
    await expect(playground.page.locator("#history [aria-current=true]")).to_have_count(1)


async def test_a_second_pass_starts_from_the_first(playground: Playground) -> None:
    await playground.quick()
    await playground.paint()
    await playground.finished(1)
    [_, first] = await playground.sources("#scene")
    await playground.page.locator("#use-as-photo").click()
    await expect(playground.page.locator("#photo-name")).to_have_text("Pass 1")
    await playground.quick(positivePrompt="snow on the roofs", strength=0.4)
    await playground.paint()
    await playground.finished(2)
    [before, second] = await playground.sources("#scene")
    assert before == first
    passes = await playground.sources("#passes")
    assert passes[1:] == [first, second]
    await playground.page.locator("#passes .thumb").nth(1).click()
    assert (await playground.sources("#scene"))[1] == first


async def test_two_results_are_compared(playground: Playground) -> None:
    for strength in (0.3, 0.9):
        await playground.quick(strength=strength)
        await playground.paint()
        await playground.finished(1 if strength == 0.3 else 2)
    newest, oldest = await playground.sources("#history")
    await playground.page.locator("#compare-with").click()
    await playground.page.locator("#history .thumb").last.click()
    assert await playground.sources("#scene") == [oldest, newest]
    await expect(playground.page.locator(".tag.left")).to_contain_text("strength 0.3")


async def test_an_error_appears_at_the_control_that_it_concerns(playground: Playground) -> None:
    await playground.quick(width=100)
    await playground.paint()
    error = playground.page.locator('[data-parameter="width height"] .error')
    await expect(error).to_contain_text("'width'")
    await expect(playground.page.locator("#width")).to_have_attribute("aria-invalid", "true")
    await expect(playground.page.locator("#width")).to_be_focused()
    await expect(playground.page.locator("#height")).not_to_have_attribute("aria-invalid", "true")
    await expect(playground.page.locator("#notice")).to_be_hidden()
    await playground.set(width=128)
    await expect(error).to_be_hidden()
    await playground.set(seed="not a number")
    await playground.paint()
    await expect(playground.page.locator('[data-parameter="seed"] .error')).to_contain_text("'seed'")


async def test_the_seed_can_be_locked_and_has_all_its_digits(playground: Playground) -> None:
    await playground.quick(seed=9223372036854775807)
    for pictures in (1, 2):
        await playground.paint()
        await playground.finished(pictures)
    await expect(playground.page.locator(".tools")).to_contain_text("seed 9223372036854775807")
    first, second = [
        await (await playground.page.request.get(source)).body()
        for source in await playground.sources("#history")
    ]
    assert first == second


async def test_a_model_is_searched_for_and_an_unknown_one_is_an_error_there(playground: Playground) -> None:
    search = playground.page.locator("#model-search")
    await search.click()
    await expect(playground.page.locator("#model-list [role=option]")).to_have_count(3)
    await search.fill("runware")
    await expect(playground.page.locator("#model-list [role=option]")).to_have_count(1)
    await expect(playground.page.locator("#model-list")).to_contain_text("underpaint:1@2 answers to it")
    await search.press("ArrowDown")
    await search.press("Enter")
    await expect(search).to_have_value("runware:101@1")
    await search.fill("civitai:1@1")
    await search.press("Tab")
    await playground.quick()
    await playground.paint()
    await expect(playground.page.locator('[data-parameter="model"] .error')).to_contain_text("civitai:1@1")


async def test_an_idea_is_the_prompt_that_it_says(playground: Playground) -> None:
    ideas = playground.page.locator("#ideas button")
    for idea in await ideas.all():
        await idea.click()
        assert await playground.page.input_value("#positivePrompt") == await idea.inner_text()
        await expect(playground.page.locator("#ideas [aria-pressed=true]")).to_have_count(1)


async def test_the_program_of_the_settings_is_the_task(playground: Playground) -> None:
    await playground.quick(positivePrompt='it\'s "new"', negativePrompt="fog")
    await playground.page.locator("#code-button").click()
    text = playground.page.locator("#code-text")
    [task] = json.loads(await text.inner_text())
    assert task["positivePrompt"] == 'it\'s "new"'
    assert (task["width"], task["strength"], task["negativePrompt"]) == (128, 0.5, "fog")
    for language, part in {"curl": "curl http", "Python": "requests.post", "JavaScript": "fetch("}.items():
        await playground.page.get_by_role("tab", name=language, exact=True).click()
        await expect(text).to_contain_text(part)


async def test_the_link_of_a_result_is_copied(playground: Playground) -> None:
    await playground.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await playground.quick()
    await playground.paint()
    await playground.finished(1)
    await playground.page.get_by_role("button", name="Copy link").click()
    await expect(playground.page.locator("#announcer")).to_have_text("Copied.")
    [shown] = await playground.sources("#history")
    assert await playground.page.evaluate("navigator.clipboard.readText()") == shown


async def test_a_result_is_downloaded_under_a_name_that_says_what_it_is(playground: Playground) -> None:
    await playground.quick(positivePrompt="Charcoal, rough/paper", seed=7)
    await playground.paint()
    await playground.finished(1)
    async with playground.page.expect_download() as coming:
        await playground.page.locator("#download").click()
    assert (await coming.value).suggested_filename == "underpaint-charcoal-rough-paper-7.jpg"
