"""The programs that the page shows of its settings, run as they stand: they do what the page does."""

import asyncio
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Page, expect

from tests.clients.environments import NODE

from .browser import Playground

pytestmark = pytest.mark.asyncio(loop_scope="session")

COMMANDS = {"Python": [sys.executable], "JavaScript": [str(NODE)]}
if shutil.which("curl") is not None:
    COMMANDS["curl"] = ["bash"]
PROMPT = """it's "new" $UUID `id` \\ {x} ö"""


async def shown(page: Page, language: str) -> str:
    await page.locator("#code-button").click()
    await page.get_by_role("tab", name=language, exact=True).click()
    # The photo has a name as soon as the server has it.
    await expect(page.locator("#code-text")).not_to_contain_text("SEED_IMAGE")
    text = await page.locator("#code-text").inner_text()
    await page.keyboard.press("Escape")
    return text


async def printed_by(language: str, program: str, folder: Path) -> str:
    """What the program prints for somebody who has saved it in a file."""
    file = folder / ("program.mjs" if language == "JavaScript" else "program")
    file.write_text(program, encoding="utf-8")
    variables = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "NO_PROXY": "127.0.0.1"}
    finished = await asyncio.to_thread(
        subprocess.run,
        [*COMMANDS[language], str(file)],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stdout
    return finished.stdout


async def pixels(playground: Playground, url: str) -> bytes:
    reply = await playground.page.request.get(url)
    with Image.open(io.BytesIO(await reply.body())) as picture:
        return picture.tobytes()


async def test_they_make_the_pages_own_picture(playground: Playground, tmp_path: Path) -> None:
    page = playground.page
    # More digits than a number of JavaScript keeps.
    await playground.quick(positivePrompt=PROMPT, seed=9007199254740993, outputFormat="PNG")
    programs = {language: await shown(page, language) for language in COMMANDS}
    await playground.paint()
    await playground.finished(1)
    [own] = await playground.sources("#history")
    for language, program in programs.items():
        [url] = re.findall(r"http://[^\s\"]+/images/[^\s\"]+", await printed_by(language, program, tmp_path))
        assert url != own
        assert await pixels(playground, url) == await pixels(playground, own), language


async def test_they_say_what_is_wrong(playground: Playground, tmp_path: Path) -> None:
    await playground.quick(width=100)
    for language in COMMANDS:
        assert "'width'" in await printed_by(language, await shown(playground.page, language), tmp_path)
