import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from underpaint.server.run import uvicorn_config
from underpaint.settings import Settings

from .conftest import Listening, image_task

ROOT = Path(__file__).parents[2]
PROGRAM = """
import functools, sys
from underpaint.server import app, run
from underpaint.settings import load_settings
from tests.server.fake_studio import FakeStudio
run.create_app = functools.partial(app.create_app, studio_factory=FakeStudio().open)
run.serve(load_settings().settings)
"""
LISTENING = "Underpaint is listening on "


@dataclass(kw_only=True)
class Process:
    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)

    async def line_with(self, text: str) -> str:
        """Read on until a line holds the text."""
        assert self.process.stderr is not None
        async with asyncio.timeout(60):
            while line := (await self.process.stderr.readline()).decode():
                self.lines.append(line)
                if text in line:
                    return line
        raise AssertionError("".join(self.lines))

    async def url(self) -> str:
        return (await self.line_with(LISTENING)).split(LISTENING)[1].split()[0]

    async def end(self) -> int:
        async with asyncio.timeout(60):
            return await self.process.wait()


@asynccontextmanager
async def started(data_dir: Path, **environment: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
            "UNDERPAINT_DATA_DIR": str(data_dir),
            "UNDERPAINT_PORT": "0",
            "UNDERPAINT_DRAIN_GRACE_S": "60",
            **environment,
        },
    )
    try:
        yield Process(process=process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order_with_status_0(tmp_path: Path, number: signal.Signals) -> None:
    async with started(tmp_path) as process:
        url = await process.url()
        async with httpx.AsyncClient(base_url=url) as http:
            assert (await http.get("/readyz")).status_code == 200
        process.process.send_signal(number)
        assert await process.end() == 0


async def test_running_tasks_get_their_time_and_a_second_signal_ends_it(tmp_path: Path) -> None:
    async with started(tmp_path) as process:
        url = await process.url()
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            posting = asyncio.ensure_future(http.post("/", json=[image_task("a", "wait")]))
            while (await http.get("/readyz")).json()["running"] == 0:
                pass
            process.process.send_signal(signal.SIGTERM)
            await process.line_with("stopping")
            readiness = await http.get("/readyz")
            assert readiness.status_code == 503
            assert "stopping" in readiness.json()["reason"]
            assert not posting.done()
            process.process.send_signal(signal.SIGTERM)
            reply = await posting
        # Whoever still waited is told, and can ask again.
        assert reply.status_code == 503
        assert reply.json()["errors"][0]["code"] == "serviceUnavailable"
        assert reply.json()["errors"][0]["taskUUID"] == "a"
        assert await process.end() == 0


async def test_a_port_in_use_is_a_clear_failure(tmp_path: Path) -> None:
    async with started(tmp_path / "a") as first:
        port = (await first.url()).rpartition(":")[2]
        async with started(tmp_path / "b", UNDERPAINT_PORT=port) as second:
            assert await second.end() == 3
            assert second.process.stderr is not None
            assert "address already in use" in (await second.process.stderr.read()).decode()


async def test_a_second_server_on_one_folder_is_a_clear_failure(tmp_path: Path) -> None:
    async with started(tmp_path) as first:
        await first.url()
        async with started(tmp_path) as second:
            said = await said_at_the_end_of(second)
        assert f"another server (process {first.process.pid}) uses the data folder {tmp_path}" in said
        async with httpx.AsyncClient(base_url=first.lines[-1].split(LISTENING)[1].split()[0]) as http:
            assert (await http.get("/readyz")).status_code == 200


async def test_a_database_that_cannot_be_opened_is_a_clear_failure(tmp_path: Path) -> None:
    (tmp_path / "underpaint.db").write_bytes(b"this was a database once" * 200)
    async with started(tmp_path) as process:
        said = await said_at_the_end_of(process)
    assert f"{tmp_path / 'underpaint.db'} cannot be used: file is not a database" in said


async def said_at_the_end_of(process: Process) -> str:
    """What a server says that does not start."""
    assert await process.end() == 3
    assert process.process.stderr is not None
    said = (await process.process.stderr.read()).decode()
    assert "Traceback" not in said
    return said


async def test_the_log_says_which_model_and_in_json_when_asked(tmp_path: Path) -> None:
    async with started(tmp_path, UNDERPAINT_LOG_FORMAT="json") as process:
        await process.line_with(LISTENING)
        assert all(line.startswith("{") for line in process.lines)
        assert any("underpaint:1@2" in line for line in process.lines)


async def test_the_url_holds_the_real_port(server: Listening) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    assert not server.url.endswith(":0")


async def test_no_header_of_a_client_changes_its_address(server: Listening) -> None:
    config = uvicorn_config(server.app, Settings())
    assert config.proxy_headers is False
