"""How soon the playground can be used after its address was opened, in a real browser on this machine.

python -m benchmarks.page [--loads 11]

Every load is that of a newcomer: a fresh profile, nothing cached. Taken are the first contentful paint; when the page
is usable, that is when the photo is there and whatever is pressed does something; when it is connected and knows its
model; and the processor time of the page's own process until then, which other work on the machine touches least.
Counted are the requests of a load, and what they weigh without pictures.
"""

import argparse
import os
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from benchmarks.sides import report
from tests.clients.server_process import ServerProcess

WANTED_MS = 1000
WANTED_KB = 300
TIMES = """() => ({
    paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
    usable: performance.getEntriesByName("usable")[0].startTime,
    connected: performance.now(),
})"""
WEIGHT = """() => {
    const loaded = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
    const text = loaded.filter(({ name }) => !name.endsWith(".jpg"));
    return [loaded.length, text.reduce((sum, { decodedBodySize }) => sum + decodedBodySize, 0) / 1000];
}"""


def load(browser: Browser, url: str) -> tuple[dict[str, float], tuple[int, float]]:
    """Milliseconds of one load; its requests, and their kilobytes without pictures."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("#status[data-state=ready]")
    page.wait_for_selector("#model-hint:has-text('ships with Underpaint')")
    figures: dict[str, float] = page.evaluate(TIMES)
    requests, kilobytes = page.evaluate(WEIGHT)
    session = context.new_cdp_session(page)
    session.send("Performance.enable")
    metrics: list[dict[str, Any]] = session.send("Performance.getMetrics")["metrics"]
    [figures["processor"]] = [1000 * each["value"] for each in metrics if each["name"] == "ProcessTime"]
    context.close()
    return figures, (requests, kilobytes)


def main() -> None:
    """Measure and report."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--loads", type=int, default=11)
    loads = options.parse_args().loads
    with (
        tempfile.TemporaryDirectory() as folder,
        ServerProcess(folder=Path(folder)) as server,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        load(chromium, server.url)  # the browser itself has to start
        taken, weights = zip(*(load(chromium, server.url) for _ in range(loads)), strict=True)
        chromium.close()
    medians = {name: round(statistics.median(each[name] for each in taken)) for name in taken[0]}
    requests, kilobytes = max(weights)
    report(
        "page",
        line=f"usable after {medians['usable']} ms, painted after {medians['paint']}, connected after "
        f"{medians['connected']}; {medians['processor']} ms of processor time; {requests} requests, "
        f"{kilobytes:.0f} kB without pictures",
        met={
            f"usable within {WANTED_MS} ms": medians["usable"] < WANTED_MS,
            f"under {WANTED_KB} kB without pictures": kilobytes < WANTED_KB,
        },
        loads=loads,
        requests=requests,
        kilobytes_without_pictures=round(kilobytes, 1),
        load_average=round(os.getloadavg()[0], 1),
        median_ms=medians,
        least_ms={name: round(min(each[name] for each in taken)) for name in medians},
        most_ms={name: round(max(each[name] for each in taken)) for name in medians},
    )


if __name__ == "__main__":
    main()
