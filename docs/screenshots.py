"""Takes the pictures of the playground that README and docs show: `make screenshots`.

It starts a server of its own, and needs Chromium. The embedded model is enough. tests/web/test_screenshots.py takes the
same pictures, small and quickly made, and looks whether there is something on them.
"""

import argparse
import asyncio
import io
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.async_api import Page, async_playwright, expect

FOLDER = Path(__file__).parent / "images"
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, "device_scale_factor": 1.25}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True,
}  # fmt: skip
WAIT_MS = 300_000
QUICK: Mapping[str, object] = {"width": 128, "height": 128, "steps": 2}
"""With these there is nothing to see in the pictures that are painted, but they are there at once."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A page that is open, and what is painted otherwise than the picture's function says."""

    page: Page
    instead: Mapping[str, object] = field(default_factory=dict)

    async def fill(self, **values: object) -> None:
        """Fill in fields by the names of the API's parameters."""
        await self.page.evaluate("document.getElementById('more').open = true")
        for name, value in {**values, **self.instead}.items():
            number = self.page.locator(f"#{name}-number")
            await (number if await number.count() else self.page.locator(f"#{name}")).fill(str(value))
        await self.page.evaluate("document.getElementById('more').open = false")

    async def painted(self, pictures: int) -> None:
        """Wait until the history has that many, and none is under way."""
        await expect(self.page.locator("#history li")).to_have_count(pictures, timeout=WAIT_MS)
        await expect(self.page.locator("#status")).to_have_text("Ready", timeout=WAIT_MS)
        await self.page.wait_for_load_state("networkidle")

    async def taken(self) -> Image.Image:
        """What is on the screen."""
        await self.page.locator(".fields").evaluate("(fields) => fields.scrollTo(0, 0)")
        await self.page.evaluate("scrollTo(0, 0)")
        await self.page.mouse.move(0, 0)
        await self.page.wait_for_timeout(400)  # until what fades has faded
        return Image.open(io.BytesIO(await self.page.screenshot())).convert("RGB")


async def result(visit: Visit) -> None:
    """Before and after, and two passes."""
    page = visit.page
    await visit.fill(positivePrompt="cyberpunk, neon lights at night", strength=0.5, seed=7)
    await page.click("#paint")
    await visit.painted(1)
    await page.click("#use-as-photo")
    await visit.fill(positivePrompt="charcoal sketch, rough paper", strength=0.4)
    await page.click("#paint")
    await visit.painted(2)
    await page.locator("#passes .thumb").nth(1).click()
    compared = page.locator(".compare input")
    await compared.evaluate("(range) => { range.value = 38; range.dispatchEvent(new Event('input')); }")


async def sweep(visit: Visit) -> None:
    """One photo at eleven strengths."""
    await visit.fill(positivePrompt="cyberpunk, neon lights at night", width=384, height=256, seed=7)
    await visit.page.click("#sweep-button")
    await visit.painted(1)
    await visit.page.locator(".film .cell").nth(4).click()


async def sheet(visit: Visit) -> None:
    """Four prompts at three strengths, in the dark."""
    await visit.fill(width=384, height=256, seed=7)
    await visit.page.click("#sheet-button")
    await visit.page.select_option("#sheet-x", "positivePrompt")
    await visit.page.select_option("#sheet-y", "strength")
    await visit.page.fill("#sheet-y-values", "0.3, 0.5, 0.7")
    await visit.page.click("#paint-sheet")
    await visit.painted(1)


async def outpaint(visit: Visit) -> None:
    """A photo with handles, drawn outward."""
    await visit.page.click("#outpaint-button")
    for side, key in (("right", "ArrowRight"), ("right", "ArrowRight"), ("top", "ArrowUp")):
        await visit.page.get_by_role("slider", name=f"Pixels to add at the {side}").press(key)


async def phone(visit: Visit) -> None:
    """Before and after on a phone, in the dark."""
    await visit.fill(
        positivePrompt="vaporwave style, pink and cyan", width=384, height=256, strength=0.5, seed=7
    )
    await visit.page.locator("#paint").tap()
    await visit.painted(1)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One of the pictures: how the browser is, and what is done in it."""

    browser: Mapping[str, Any]
    show: Callable[[Visit], Awaitable[None]]


PICTURES = {
    "result": Picture(browser=DESKTOP, show=result),
    "sweep": Picture(browser=DESKTOP, show=sweep),
    "sheet": Picture(browser={**DESKTOP, "color_scheme": "dark"}, show=sheet),
    "outpaint": Picture(browser=DESKTOP, show=outpaint),
    "phone": Picture(browser={**PHONE, "color_scheme": "dark"}, show=phone),
}


async def open_page(page: Page, url: str) -> None:
    """Open the playground, and wait until it is connected and has a photo and a model."""
    page.set_default_timeout(WAIT_MS)
    await page.goto(url)
    await page.wait_for_selector("#status[data-state=ready]")
    await page.wait_for_selector(".alone img")
    await page.wait_for_selector("#model-hint:has-text('ships with Underpaint')")


@contextmanager
def server() -> Iterator[str]:
    """A server with nothing but the embedded model; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [str(Path(sys.executable).with_name("underpaint")), "serve", "--port", str(port)]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen([*command, "--data-dir", folder])
        try:
            while True:
                if process.poll() is not None:
                    sys.exit("the server did not start")
                try:
                    urllib.request.urlopen(f"{url}/readyz", timeout=5).close()
                    break
                except (urllib.error.URLError, TimeoutError):
                    process.poll()
            yield url
        finally:
            process.terminate()
            process.wait()


async def take(url: str, names: list[str]) -> None:
    """Take these pictures, and put them where the docs have them."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for name in names:
            context = await browser.new_context(**PICTURES[name].browser)
            page = await context.new_page()
            await open_page(page, url)
            visit = Visit(page=page)
            await PICTURES[name].show(visit)
            file = FOLDER / f"playground-{name}.jpg"
            (await visit.taken()).save(file, quality=80, optimize=True, progressive=True)
            print(file)
            await context.close()
        await browser.close()


def main() -> None:
    """Take them all, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", choices=[*PICTURES, []], default=[])
    arguments = parser.parse_args()
    with server() as url:
        asyncio.run(take(url, arguments.names or list(PICTURES)))


if __name__ == "__main__":
    main()
