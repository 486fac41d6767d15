"""The operator's page: the figures of /metrics, and recent errors."""

import httpx
import pytest
from playwright.async_api import expect

from .browser import Playground
from .conftest import Visit

MAX_SHIFT = 0.1
"""Of the layout; above it, it is said to be poor: https://web.dev/articles/cls."""

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_it_shows_the_figures_of_the_metrics(playground: Playground, visit: Visit) -> None:
    operator = await visit()
    await operator.page.goto(f"{operator.url}operator")
    await expect(operator.page.locator("#status")).to_have_text("Ready")
    await playground.quick(positivePrompt="<b>ink</b>")
    await playground.paint()
    await playground.finished(1)
    await playground.quick(width=100)
    await playground.paint()
    await expect(operator.page.locator("#models")).to_contain_text("underpaint:1@2")
    await expect(operator.page.locator("#errors tr").first).to_contain_text("invalidWidth")
    async with httpx.AsyncClient(base_url=playground.url) as http:
        metrics = dict(
            line.rsplit(" ", 1)
            for line in (await http.get("/metrics")).text.splitlines()
            if not line.startswith("#")
        )
    mean = float(metrics["underpaint_engine_pass_rows_sum"]) / float(
        metrics["underpaint_engine_pass_rows_count"]
    )
    batches = operator.page.get_by_role("img", name="Batch sizes")
    await expect(batches).to_have_accessible_name(
        f"Batch sizes: {mean:.1f} rows in a forward pass, on average"
    )
    await expect(operator.page.get_by_role("img", name="Engine memory: 0.")).to_be_visible()
    # Nothing moves when the figures come.
    shifted = await operator.page.evaluate(
        """new Promise((resolve) => {
            let sum = 0;
            new PerformanceObserver((list) => list.getEntries().forEach(({ value }) => (sum += value)))
                .observe({ type: "layout-shift", buffered: true });
            setTimeout(() => resolve(sum), 200);
        })"""
    )
    assert shifted < MAX_SHIFT
