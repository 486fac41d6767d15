"""Takes the pictures of the playground that README and docs show: `python docs/screenshots.py http://127.0.0.1:8080`.

It needs a server that runs there, and Chromium. The embedded model is enough.
"""

import argparse
import io
import shutil
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

FOLDER = Path(__file__).parent / "images"
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, "device_scale_factor": 1.25}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True,
}  # fmt: skip
WAIT_MS = 300_000


def opened(browser: Browser, url: str, **options: Any) -> Page:
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(url)
    page.wait_for_selector("#status[data-state=ready]")
    page.wait_for_selector(".alone img")
    page.wait_for_selector("#model-hint:has-text('ships with Underpaint')")
    return page


def fill(page: Page, **values: object) -> None:
    page.evaluate("document.getElementById('more').open = true")
    for name, value in values.items():
        number = page.locator(f"#{name}-number")
        (number if number.count() else page.locator(f"#{name}")).fill(str(value))
    page.evaluate("document.getElementById('more').open = false")


def finished(page: Page) -> None:
    page.wait_for_selector("#status:text-is('Ready')")
    page.wait_for_timeout(800)


def save(page: Page, name: str) -> None:
    page.locator(".fields").evaluate("(fields) => fields.scrollTo(0, 0)")
    page.locator("#stage").evaluate("() => scrollTo(0, 0)")
    page.mouse.move(0, 0)
    page.wait_for_timeout(300)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.save(FOLDER / f"playground-{name}.jpg", quality=80, optimize=True, progressive=True)


def result(browser: Browser, url: str) -> Page:
    """Before and after, and two passes."""
    page = opened(browser, url, **DESKTOP)
    fill(page, positivePrompt="cyberpunk, neon lights at night", strength=0.5, seed=7)
    page.click("#paint")
    finished(page)
    page.click("#use-as-photo")
    fill(page, positivePrompt="charcoal sketch, rough paper", strength=0.4)
    page.click("#paint")
    finished(page)
    page.locator("#passes .thumb").nth(1).click()
    compared = page.locator(".compare input")
    compared.evaluate("(range) => { range.value = 38; range.dispatchEvent(new Event('input')); }")
    return page


def sweep(browser: Browser, url: str) -> Page:
    """One photo at eleven strengths."""
    page = opened(browser, url, **DESKTOP)
    fill(page, positivePrompt="cyberpunk, neon lights at night", width=384, height=256, seed=7)
    page.click("#sweep-button")
    finished(page)
    page.locator(".film .cell").nth(4).click()
    return page


def sheet(browser: Browser, url: str) -> Page:
    """Four prompts at three strengths, in the dark."""
    page = opened(browser, url, **DESKTOP, color_scheme="dark")
    fill(page, width=384, height=256, seed=7)
    page.click("#sheet-button")
    page.select_option("#sheet-x", "positivePrompt")
    page.select_option("#sheet-y", "strength")
    page.fill("#sheet-y-values", "0.3, 0.5, 0.7")
    page.click("#paint-sheet")
    finished(page)
    return page


def phone(browser: Browser, url: str) -> Page:
    """Before and after on a phone."""
    page = opened(browser, url, **PHONE, color_scheme="dark")
    fill(page, positivePrompt="vaporwave style, pink and cyan", width=384, height=256, strength=0.5, seed=7)
    page.locator("#paint").tap()
    finished(page)
    return page


PICTURES = {shown.__name__: shown for shown in (result, sweep, sheet, phone)}


def main() -> None:
    """Take them all, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("url")
    parser.add_argument("names", nargs="*", choices=[*PICTURES, []], default=[])
    arguments = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name in arguments.names or PICTURES:
            save(PICTURES[name](browser, arguments.url), name)
        browser.close()


if __name__ == "__main__":
    main()
