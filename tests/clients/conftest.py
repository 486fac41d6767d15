"""Servers that run for the whole session, and the reports of the clients that were driven against them."""

import functools
import subprocess
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .environments import REPOSITORY
from .official_clients import OFFICIAL_CLIENTS, OfficialClient, Report
from .server_process import ServerProcess, own_variables, underpaint

RUNNING_SERVERS: list[ServerProcess] = []


@dataclass(frozen=True, kw_only=True)
class KeyedServer:
    """A server that wants a key, and a key that it accepts."""

    url: str
    key: str


@pytest.fixture(scope="session")
def photo() -> Path:
    """The photo that every scenario starts from."""
    return REPOSITORY / "examples" / "photo.jpg"


@pytest.fixture(scope="session")
def keyless_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server without configured keys, on the loopback address."""
    yield from serving(ServerProcess(folder=tmp_path_factory.mktemp("keyless")))


@pytest.fixture(scope="session")
def keyed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedServer]:
    """A server for which a key was made with `underpaint keys add`."""
    server = ServerProcess(folder=tmp_path_factory.mktemp("keyed"))
    added = subprocess.run(
        underpaint("keys", "add", "client-tests", "--data-dir", str(server.data_folder)),
        capture_output=True,
        text=True,
        env=own_variables(),
        timeout=120,
    )
    assert added.returncode == 0, added.stdout + added.stderr
    key = added.stdout.strip()
    for running in serving(server):
        yield KeyedServer(url=running.url, key=key)


def serving(server: ServerProcess) -> Iterator[ServerProcess]:
    """Run `server` for the time of a fixture."""
    with server:
        RUNNING_SERVERS.append(server)
        yield server
        RUNNING_SERVERS.remove(server)


@pytest.fixture(scope="session")
def report_of(
    keyless_server: ServerProcess, photo: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Report]:
    """Runs all scenarios of a client, by its name, once for the session."""

    @functools.cache
    def run(name: str) -> Report:
        return OFFICIAL_CLIENTS[name].run(keyless_server.url, "any-key", photo, tmp_path_factory.mktemp(name))

    return run


@pytest.fixture(params=list(OFFICIAL_CLIENTS))
def client_name(request: pytest.FixtureRequest) -> str:
    """The name of each client in turn."""
    name: str = request.param
    return name


@pytest.fixture
def client(client_name: str) -> OfficialClient:
    """Each client in turn."""
    return OFFICIAL_CLIENTS[client_name]


@pytest.fixture
def report(client_name: str, report_of: Callable[[str], Report]) -> Report:
    """What happened to each client in turn."""
    return report_of(client_name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the servers' logs under a failed test."""
    outcome = yield
    if outcome.failed:
        for server in RUNNING_SERVERS:
            outcome.sections.append((f"log of {server.url}", server.log[-8000:]))
    return outcome
