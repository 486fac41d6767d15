"""The programs of examples/ do what their first lines say, against a real server."""

import base64
import json
import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from .environments import (
    HERE,
    REPOSITORY,
    NodeEnvironment,
    PythonEnvironment,
    node_environment,
    python_environment,
)
from .official_clients import run_script
from .pictures import assert_made_from, decode, fetch
from .server_process import ServerProcess

# The first test that needs a client installs it.
pytestmark = pytest.mark.timeout(1800)

EXAMPLES = REPOSITORY / "examples"
HTTP_EXAMPLES = {"python_runware_sdk.py", "javascript_ai_sdk.mjs"}

# The request of "Basic request example" in the vendor's guide to image-to-image.
GUIDE_TASK_UUID = "b8c4d952-7f27-4a6e-bc9a-83f01d1c6d59"
GUIDE_SEED_IMAGE = "c64351d5-4c59-42f7-95e1-eace013eddab"
GUIDE_REQUEST = """[
  {
    "taskType": "imageInference",
    "taskUUID": "b8c4d952-7f27-4a6e-bc9a-83f01d1c6d59",
    "model": "runware:101@1",
    "positivePrompt": "A wide desert with soft sand dunes, dry air, and scattered cacti under a clear blue sky, watercolor painting style",
    "seedImage": "c64351d5-4c59-42f7-95e1-eace013eddab",
    "strength": 0.9,
    "width": 1024,
    "height": 1024,
    "steps": 30
  }
]"""  # noqa: E501


@pytest.mark.parametrize(
    ("example", "environment", "format_name"),
    [
        ("python_runware.py", lambda: python_environment("runware"), "JPEG"),
        ("python_runware_sdk.py", lambda: python_environment("runware-sdk"), "JPEG"),
        ("javascript_sdk.mjs", node_environment, "JPEG"),
        ("javascript_ai_sdk.mjs", node_environment, "PNG"),
    ],
)
def test_example_saves_a_transformed_photo(
    example: str,
    environment: Callable[[], PythonEnvironment | NodeEnvironment],
    format_name: str,
    keyless_server: ServerProcess,
    photo: Path,
    tmp_path: Path,
) -> None:
    result = tmp_path / "transformed"

    finished = run_script(
        environment(),
        EXAMPLES / example,
        [str(photo), str(result)],
        tmp_path,
        RUNWARE_URL=keyless_server.http_url if example in HTTP_EXAMPLES else keyless_server.websocket_url,
    )

    assert finished.returncode == 0, finished.stderr
    assert f"saved as {result}" in finished.stdout
    assert_made_from(photo, result.read_bytes(), size=(768, 512), format_name=format_name)


@pytest.mark.parametrize(
    "example", sorted(path.name for path in EXAMPLES.iterdir() if path.suffix in {".py", ".mjs"})
)
def test_install_line_names_the_tested_release(example: str) -> None:
    text = (EXAMPLES / example).read_text(encoding="utf-8")
    [packages] = re.findall(r"(?:pip|npm) install (.*)", text)

    for package in packages.split():
        assert any(pin == package or pin.startswith(f"{package}.") for pin in pinned_releases()), package


def pinned_releases() -> list[str]:
    """Return the pins of the clients' environments, as `pip install` and `npm install` take them."""
    python = [file.read_text(encoding="utf-8") for file in HERE.glob("python/*/requirements.txt")]
    npm = json.loads((HERE / "node" / "package.json").read_text(encoding="utf-8"))["dependencies"]
    return [*"\n".join(python).splitlines(), *(f"{name}@{version}" for name, version in npm.items())]


def test_curl_example_is_the_guides_basic_request() -> None:
    request = GUIDE_REQUEST.replace(GUIDE_TASK_UUID, "$task_uuid").replace(GUIDE_SEED_IMAGE, "$data_uri")

    assert request in (EXAMPLES / "curl.sh").read_text(encoding="utf-8")


def test_the_guides_basic_request_returns_a_picture_at_its_address(
    keyless_server: ServerProcess, photo: Path, tmp_path: Path
) -> None:
    reply = (send_with_curl if shutil.which("curl") else send)(keyless_server, photo, tmp_path / "saved.jpg")

    [result] = json.loads(reply)["data"]
    assert result["taskType"] == "imageInference"
    assert result["taskUUID"] == GUIDE_TASK_UUID
    fetched = fetch(result["imageURL"])
    assert fetched.content_type == "image/jpeg"
    assert fetched.content == (tmp_path / "saved.jpg").read_bytes()
    assert decode(fetched.content).size == (1024, 1024)


def send_with_curl(server: ServerProcess, photo: Path, saved: Path) -> str:
    """Run the example for curl, with a few steps. Returns the server's reply."""
    script = saved.with_name("curl.sh")
    script.write_text(with_few_steps((EXAMPLES / "curl.sh").read_text(encoding="utf-8")), encoding="utf-8")
    finished = subprocess.run(
        ["bash", str(script), str(photo), str(saved)],
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "NO_PROXY": "127.0.0.1",
            "RUNWARE_URL": server.http_url,
            "TASK_UUID": GUIDE_TASK_UUID,
        },
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout.splitlines()[0]


def with_few_steps(request: str) -> str:
    """The guide's request, but for the minutes that its 30 steps of 1024 x 1024 pixels take on a small machine."""
    assert request.count('"steps": 30') == 1
    return request.replace('"steps": 30', '"steps": 3')


def send(server: ServerProcess, photo: Path, saved: Path) -> str:
    """Do what the example for curl does, on a machine without curl. Returns the server's reply."""
    data_uri = f"data:image/jpeg;base64,{base64.b64encode(photo.read_bytes()).decode()}"
    body = with_few_steps(GUIDE_REQUEST).replace(GUIDE_SEED_IMAGE, data_uri).encode()
    request = urllib.request.Request(server.http_url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=900) as answer:
        reply: str = answer.read().decode()
    saved.write_bytes(fetch(json.loads(reply)["data"][0]["imageURL"]).content)
    return reply
