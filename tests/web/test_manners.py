"""What holds for the page as a whole: policy, weight, access, and that text stays text."""

import re

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Response, expect

from tests.clients.server_process import ServerProcess

from .browser import EXAMPLE_PHOTO, PHONE, Playground
from .conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")

MAX_WEIGHT_BYTES = 300_000
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


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
async def test_axe_finds_nothing(visit: Visit, look: str) -> None:
    options = PHONE if look == "phone" else {"color_scheme": look}
    visitor = await (await visit(**options)).open()
    await visitor.quick()
    findings = [await Axe().run(visitor.page)]
    await visitor.paint()
    await visitor.finished(1)
    findings.append(await Axe().run(visitor.page))
    await visitor.page.locator("#code-button").click()
    findings.append(await Axe().run(visitor.page))
    serious = [
        (violation["id"], [node["html"] for node in violation["nodes"]])
        for finding in findings
        for violation in finding.response["violations"]
        if violation["impact"] in {"serious", "critical"}
    ]
    assert serious == []


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
