"""What holds for the page as a whole: policy, weight, access, and that text stays text."""

import re

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, Response, expect

from tests.clients.server_process import ServerProcess

from .browser import EXAMPLE_PHOTO, PHONE, Playground
from .conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")

MAX_WEIGHT_BYTES = 300_000
USABLE_WITHIN_S = 1.0
HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script><b>bold</b>'


async def test_the_policy_allows_nothing_inline(server: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        for path in ("/", "/web/main.js"):
            policy = (await http.get(path)).headers["content-security-policy"]
            assert "unsafe" not in policy
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        page = (await http.get("/")).text
        assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=", page)
        for path in ("/v1", "/v1/"):
            assert str((await http.get(path, follow_redirects=True)).url) == f"{server.url}/"
        assert (await http.get("/web/../server/app.py")).status_code == 404
        assert (await http.get("/web/%2e%2e/settings.py")).status_code == 404


async def test_the_page_is_light(visit: Visit) -> None:
    visitor = await visit()
    weights: dict[str, int] = {}

    async def weigh(response: Response) -> None:
        if response.request.resource_type != "image" and response.url.startswith("http"):
            weights[response.url] = len(await response.body())

    visitor.page.on("response", weigh)
    await visitor.open()
    del weights[f"{visitor.url}web/example.jpg"]
    assert len(weights) > 5
    assert sum(weights.values()) < MAX_WEIGHT_BYTES


async def findings(page: Page, where: str) -> list[tuple[str, str, list[str]]]:
    """What axe finds wrong, of any weight."""
    violations = (await Axe().run(page)).response["violations"]
    return [(where, each["id"], [node["html"] for node in each["nodes"]]) for each in violations]


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
async def test_axe_finds_nothing(visit: Visit, look: str) -> None:
    """Every panel is open at least once."""
    options = PHONE if look == "phone" else {"color_scheme": look}
    visitor = await (await visit(**options)).open()
    page = visitor.page
    await visitor.quick()
    await page.get_by_text("Guide images").click()
    await page.locator("#add-guide").click()
    await page.locator("#mask-button").click()
    found = await findings(page, "masking, with all settings open")
    await page.locator("#mask-none").click()
    await page.locator("#outpaint-button").click()
    await page.keyboard.press("ArrowRight")
    found += await findings(page, "outpainting")
    await page.locator("#outpaint-none").click()
    await page.get_by_role("button", name="Take guide 1 away").click()
    await page.locator("#model-search").click()
    await expect(page.locator("#model-list")).to_be_visible()
    found += await findings(page, "choosing a model")
    await page.keyboard.press("Escape")
    await visitor.paint()
    await visitor.finished(1)
    await page.locator("#code-button").click()
    found += await findings(page, "a result, and its program")
    await page.keyboard.press("Escape")
    await page.locator("#sheet-button").click()
    found += await findings(page, "planning a sheet")
    await page.keyboard.press("Escape")
    if look == "dark":
        await page.locator("#sweep-button").click()
        await visitor.finished(2)
        found += await findings(page, "a sweep")
    await page.goto(f"{visitor.url}operator")
    await expect(page.locator("#status")).to_have_text("Ready")
    found += await findings(page, "the operator's page")
    assert found == []


async def test_the_page_is_usable_at_once(visit: Visit) -> None:
    """By the processor time of the page's own process, which other work on the machine hardly touches."""
    taken = []
    for _ in range(3):
        visitor = await (await visit()).open()
        session = await visitor.page.context.new_cdp_session(visitor.page)
        await session.send("Performance.enable")
        metrics = {
            each["name"]: each["value"] for each in (await session.send("Performance.getMetrics"))["metrics"]
        }
        taken.append(metrics["ProcessTime"])
        entries = await visitor.page.evaluate("performance.getEntriesByType('paint').map(({ name }) => name)")
        assert "first-contentful-paint" in entries
        marks = await visitor.page.evaluate("performance.getEntriesByName('usable').length")
        assert marks == 1
        # Nothing but its own style stands before the first paint.
        blocking = await visitor.page.evaluate(
            """performance.getEntriesByType("resource").filter((each) => each.renderBlockingStatus === "blocking")
                .map(({ name }) => name.split("/").pop())"""
        )
        assert set(blocking) <= {"theme.js", "page.css", "controls.css", "pictures.css"}
    assert sorted(taken)[1] < USABLE_WITHIN_S


async def test_everything_fits_a_phone(visit: Visit) -> None:
    visitor = await (await visit(**PHONE)).open()
    await visitor.quick()
    await visitor.page.locator("#paint").tap()
    await visitor.finished(1)
    assert await visitor.page.evaluate("document.documentElement.scrollWidth") == 390


async def test_a_run_by_keyboard_alone(playground: Playground) -> None:
    await playground.quick()
    keyboard = playground.page.keyboard
    await playground.page.evaluate("document.activeElement.blur()")

    async def tab_to(element_id: str) -> None:
        for _ in range(60):
            if await playground.page.evaluate("document.activeElement.id") == element_id:
                return
            await keyboard.press("Tab")
        raise AssertionError(f"{element_id} cannot be reached by Tab")

    await tab_to("positivePrompt")
    await keyboard.press("Control+a")
    await keyboard.type("ink")
    await tab_to("strength")
    await keyboard.press("ArrowRight")
    assert await playground.page.input_value("#strength-number") == "0.51"
    await tab_to("paint")
    await keyboard.press("Enter")
    await playground.finished(1)
    await playground.page.locator(".compare input").focus()
    for _ in range(10):
        await keyboard.press("ArrowLeft")
    assert await playground.page.input_value(".compare input") == "40"
    await keyboard.press("+")
    await expect(playground.page.locator(".zoom")).to_contain_text("150 %")
    await playground.page.locator("#use-as-photo").focus()
    await keyboard.press("Enter")
    await keyboard.type("oil")
    await keyboard.press("Control+Enter")
    await playground.finished(2)


async def test_every_control_says_what_it_does(playground: Playground) -> None:
    page = playground.page
    await page.evaluate("document.getElementById('more').open = true")
    await page.get_by_text("Guide images").click()
    for model in ("test:1@1", "test:2@1"):
        await page.locator("#add-guide").click()
        await page.locator("#guide-list select[id$=-model]").last.select_option(model)
    await page.select_option("#guide-0-weightType", "style_and_composition")
    controls = await page.eval_on_selector_all(
        "#settings :is(input, select, textarea):not([type=file], [type=checkbox], [id$=-number])",
        """all => all.map((each) => [each.id, each.type, (each.getAttribute("aria-describedby") ?? "").split(" ")
            .map((id) => document.getElementById(id)?.textContent).join(" ")])""",
    )
    assert len(controls) > 20
    for name, kind, words in controls:
        # One line or two, of a column that has about 45 letters in each; a model's comment is its own.
        assert 20 < len(words) < (300 if name == "model-search" else 110), (name, words)
        if kind in {"range", "number"}:
            assert re.search(r"\d", words), f"{name} does not say what values are useful: {words}"


async def test_hostile_words_are_shown_as_words(playground: Playground) -> None:
    await playground.drop(EXAMPLE_PHOTO.read_bytes(), HOSTILE, "image/jpeg")
    await playground.quick(positivePrompt=HOSTILE, negativePrompt=HOSTILE)
    await playground.paint()
    await playground.finished(1)
    await playground.page.locator("#use-as-photo").click()
    await playground.quick(positivePrompt=HOSTILE + "2")
    await playground.paint()
    await playground.finished(2)
    await playground.page.locator("#code-button").click()
    assert HOSTILE in await playground.page.inner_text("#code-text")
    await playground.page.locator("#code-dialog .close").click()
    await playground.page.locator("#model-search").fill(HOSTILE + "@1")
    await playground.page.locator("#model-search").press("Tab")
    await playground.paint()
    await expect(playground.page.locator('[data-parameter="model"] .error')).to_contain_text("AIR identifier")
    found = await playground.page.evaluate(
        "document.querySelectorAll('img[src=x], body script, main b:not([role=option] b)').length"
    )
    assert found == 0
