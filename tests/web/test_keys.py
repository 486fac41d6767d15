"""A server that wants keys, and what its pages ask for then."""

import pytest
from playwright.async_api import expect

from tests.clients.server_process import ServerProcess

from .conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_server_with_keys_asks_for_one(visit: Visit, keyed: tuple[ServerProcess, str]) -> None:
    server, key = keyed
    visitor = await visit(server.url)
    await visitor.page.goto(visitor.url)
    await expect(visitor.page.locator("#key-dialog")).to_be_visible()
    await visitor.page.fill("#key", "wrong")
    await visitor.page.keyboard.press("Enter")
    await expect(visitor.page.locator("#key-error")).to_contain_text("Invalid API key")
    await visitor.page.fill("#key", key)
    await visitor.page.keyboard.press("Enter")
    await visitor.ready()
    await visitor.page.reload()
    await visitor.ready()
    await visitor.page.get_by_text("Guide images").click()
    await expect(visitor.page.locator("#guides-hint")).to_contain_text("What leads beside the prompt")
    await expect(visitor.page.locator("#add-guide")).to_be_enabled()
    await visitor.quick()
    await visitor.paint()
    await visitor.finished(1)


async def test_errors_are_for_keys_with_the_scope(visit: Visit, keyed: tuple[ServerProcess, str]) -> None:
    server, key = keyed
    operator = await visit(server.url)
    # The browser itself reports an answer of 401.
    operator.expected = ("401",)
    await operator.page.goto(f"{operator.url}operator")
    await expect(operator.page.locator("#key-form")).to_be_visible()
    await operator.page.fill("#key", key)
    await operator.page.keyboard.press("Enter")
    await expect(operator.page.locator("#key-form")).to_be_hidden()
