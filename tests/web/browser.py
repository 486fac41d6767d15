"""The playground in a real browser, watched for what must never happen in it."""

import asyncio
import base64
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import ConsoleMessage, Page, Request, expect

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
EXAMPLE_PHOTO = Path(__file__).parents[2] / "examples" / "photo.jpg"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
WAIT_MS = 120_000
"""The machine of a test may be busy; what is waited for comes within a second on one that is not."""

expect.set_options(timeout=WAIT_MS)


def find_chromium() -> str | None:
    """Where the browser is, if there is one."""
    return next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)


@dataclass
class Playground:
    """One visitor: a page in a browser profile of its own."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    """Errors of the console and of scripts, and requests that left the server."""
    expected: tuple[str, ...] = ()
    """Parts of complaints that a test provokes itself."""

    def watch(self) -> None:
        """Take note of everything that goes wrong from now on."""
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on("request", self._request)
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))

    def unexpected(self) -> list[str]:
        return [each for each in self.complaints if not any(part in each for part in self.expected)]

    async def open(self) -> "Playground":
        """Load the page, and wait until it is connected and has a photo and a model."""
        await self.page.goto(self.url)
        await self.ready()
        return self

    async def ready(self) -> None:
        await expect(self.page.locator("#status")).to_have_attribute("data-state", "ready")
        await expect(self.page.locator("#scene img").first).to_be_visible()
        await expect(self.page.locator("#model-hint")).to_contain_text("ships with Underpaint")

    async def set(self, **parameters: object) -> None:
        """Fill in fields by the names of the API's parameters."""
        await self.page.evaluate("document.getElementById('more').open = true")
        for name, value in parameters.items():
            number = self.page.locator(f"#{name}-number")
            target = number if await number.count() else self.page.locator(f"#{name}")
            if await target.evaluate("(field) => field.tagName") == "SELECT":
                await target.select_option(str(value))
            else:
                await target.fill(str(value))

    async def quick(self, **parameters: object) -> None:
        """Settings with which a picture takes next to no time."""
        await self.set(**{"width": 128, "height": 128, "steps": 4, "strength": 0.5, **parameters})

    async def slow(self, **parameters: object) -> None:
        """Settings with which there is time to look, and to interrupt."""
        await self.set(**{"width": 256, "height": 256, "steps": 24, "strength": 1, **parameters})

    async def paint(self) -> None:
        await self.page.locator("#paint").click()

    async def finished(self, pictures: int) -> None:
        """Wait until the history has that many pictures, and none is under way."""
        # In this order: what was pressed a moment ago may have yet to begin.
        await expect(self.page.locator("#history li")).to_have_count(pictures)
        await expect(self.page.locator("#status")).to_have_text("Ready")

    async def until(self, script: str) -> None:
        """Wait until a script says true. The page's policy forbids the browser's own way to do so."""
        deadline = time.monotonic() + WAIT_MS / 1000
        while not await self.page.evaluate(script):
            assert time.monotonic() < deadline, script
            await asyncio.sleep(0.05)

    async def drop(self, data: bytes, name: str, media_type: str, *, on: str = "body") -> None:
        """Drop a file on the page, or on an element of it, as from the desktop."""
        await self.page.evaluate(
            """async ([data, name, type, on]) => {
                const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
                const dataTransfer = new DataTransfer();
                dataTransfer.items.add(new File([bytes], name, { type }));
                for (const step of ["dragenter", "dragover", "drop"]) {
                    const event = new DragEvent(step, { bubbles: true, cancelable: true, dataTransfer });
                    document.querySelector(on).dispatchEvent(event);
                }
            }""",
            [base64.b64encode(data).decode(), name, media_type, on],
        )

    async def sources(self, selector: str) -> list[str]:
        """The addresses of the pictures within an element."""
        found = await self.page.eval_on_selector_all(f"{selector} img", "all => all.map((each) => each.src)")
        return [str(source) for source in found]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in {"data", "blob"} and address.netloc != urlsplit(self.url).netloc:
            self.complaints.append(f"request: {request.url}")
