"""A client that loses its connection in the middle of a task still gets the picture."""

from pathlib import Path

import pytest

from .cutting_proxy import CuttingProxy
from .official_clients import OFFICIAL_CLIENTS
from .pictures import decode, picture_of
from .server_process import ServerProcess

# The first test that needs a client installs it.
pytestmark = pytest.mark.timeout(1800)


@pytest.mark.parametrize("name", ["runware", "runware-sdk-websocket"])
def test_the_task_goes_on_and_its_result_is_delivered(
    name: str, keyless_server: ServerProcess, photo: Path, tmp_path: Path
) -> None:
    # `runware` sends the task again under its UUID, learns of it by conflictTaskUUID and asks for the response;
    # `runware-sdk` resumes its session.
    with CuttingProxy(keyless_server.port) as proxy:
        report = OFFICIAL_CLIENTS[name].run(proxy.url, "any-key", photo, tmp_path, "long_task")

        assert proxy.cut.is_set()
        assert proxy.connections > 1
        [result] = report.outcome("long_task")["results"]
        assert decode(picture_of(result)).size == (512, 512)
