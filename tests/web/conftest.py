"""One browser and one server for all tests of the playground; each test is a visitor of its own."""

import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright
from safetensors.torch import load_file, save_file

from tests.checkpoints import EMBEDDED_CHECKPOINT
from tests.checkpoints_flux import write_flux_checkpoint
from tests.clients.server_process import ServerProcess, own_variables, underpaint
from tests.controlnets import write_controlnet
from tests.ip_adapters import write_image_encoder, write_ip_adapter
from tests.redux import write_redux
from underpaint.catalog import ModelEntry
from underpaint.catalog.describe import NewModel, describe
from underpaint.catalog.installed import InstalledModels

from .browser import Playground, find_chromium

Visit = Callable[..., Awaitable[Playground]]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program. Without one these tests are skipped; with REQUIRE_BROWSER=1, as on CI, they fail."""
    found = find_chromium()
    if found is None:
        reason = "these tests need Chromium: apt-get install --no-install-recommends chromium"
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        # Without the sandbox it also runs as root, in a container; it opens only our own pages.
        launched = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        await launched.close()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Sequence[ModelEntry]:
    """For the embedded model an IP-Adapter, test:1@1, and a ControlNet, test:2@1; a tiny Kontext, test:3@1, and a
    Redux for it, test:5@1; and an IP-Adapter that has nothing for one of its layers, test:4@1.
    """
    import diffusers

    folder = tmp_path_factory.mktemp("models")
    unet = diffusers.UNet2DConditionModel.from_pretrained(EMBEDDED_CHECKPOINT, subfolder="unet")
    write_image_encoder(folder / "image_encoder")
    unfit = write_ip_adapter(folder / "unfit.safetensors", unet)
    tensors = load_file(unfit)
    save_file({name: tensor for name, tensor in tensors.items() if ".9.to_" not in name}, unfit)
    news = (
        NewModel(
            air="test:1@1",
            source=str(write_ip_adapter(folder / "adapter.safetensors", unet)),
            architecture="sd1x",
            name="Random adapter",
        ),
        NewModel(
            air="test:2@1",
            source=str(write_controlnet(folder / "controlnet", unet)),
            architecture="sd1x",
            name="Random net",
            conditioning="canny",
        ),
        NewModel(
            air="test:3@1",
            source=str(write_flux_checkpoint(folder / "kontext")),
            architecture="fluxkontextdev",
            name="Tiny Kontext",
        ),
        NewModel(air="test:4@1", source=str(unfit), architecture="sd1x", name="Unfit adapter"),
        NewModel(air="test:5@1", source=str(write_redux(folder / "redux")), name="Random Redux"),
    )
    return [describe(new) for new in news]


def furnished(folder: Path, models: Sequence[ModelEntry]) -> ServerProcess:
    server = ServerProcess(folder=folder)
    server.data_folder.mkdir()
    for model in models:
        InstalledModels(server.data_folder).add(model)
    return server


@pytest.fixture(scope="session")
def server(models: Sequence[ModelEntry], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server without keys, with the embedded model and `models`."""
    with furnished(tmp_path_factory.mktemp("playground"), models) as running:
        yield running


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, str]]:
    """A server that wants a key, and the key."""
    server = ServerProcess(folder=tmp_path_factory.mktemp("keyed"))
    command = underpaint("keys", "add", "browser", "--data-dir", str(server.data_folder))
    added = subprocess.run(command, capture_output=True, text=True, env=own_variables(), check=True)
    with server as running:
        yield running, added.stdout.strip()


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, server: ServerProcess) -> AsyncIterator[Visit]:
    """Opens pages, each in a profile of its own; at the end nothing may have gone wrong in them."""
    visitors: list[Playground] = []
    async with AsyncExitStack() as stack:

        async def visit_one(url: str | None = None, **options: Any) -> Playground:
            # Without what fades and slides, which costs the processor much and shows nothing else.
            usual = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce"}
            context = await browser.new_context(**{**usual, **options})
            stack.push_async_callback(context.close)
            visitor = Playground(await context.new_page(), (url or server.url) + "/")
            visitor.watch()
            visitors.append(visitor)
            return visitor

        yield visit_one
    assert [complaint for visitor in visitors for complaint in visitor.unexpected()] == []


@pytest_asyncio.fixture(loop_scope="session")
async def playground(visit: Visit) -> Playground:
    """A visitor on a desktop, with the page open."""
    return await (await visit()).open()


@pytest.fixture
def restartable(models: Sequence[ModelEntry], tmp_path: Path) -> Iterator[ServerProcess]:
    """A server of the test's own, to be killed and started again."""
    with furnished(tmp_path, models) as running:
        yield running
