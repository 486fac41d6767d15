"""`underpaint models pull` from a hub of our own: token, place of the cache, broken connections, half a download."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub.constants import DOWNLOAD_CHUNK_SIZE

from tests.catalog.weights import write_folder, write_safetensors
from underpaint.catalog.installed import InstalledModels

REPOSITORY, TOKEN = "someone/a-model", "hf_of_the_test"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE, LOST = "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors"


@dataclass
class Hub:
    """One gated repository, by the part of the hub's HTTP API that its own library uses."""

    folder: Path
    lost: set[str] = field(default_factory=set)
    """Files that cannot be had at the moment."""
    break_off: set[str] = field(default_factory=set)
    """Files of which the next answer ends before its end."""
    fetched: list[tuple[str, str | None]] = field(default_factory=list)
    """Each file whose content was asked for, and from which byte on."""
    tokens: set[str | None] = field(default_factory=set)

    @property
    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


class Answer(BaseHTTPRequestHandler):
    """An answer of the hub."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path, hub = unquote(urlsplit(self.path).path), self.hub
        token = self.headers.get("Authorization")
        hub.tokens.add(token)
        if token != f"Bearer {TOKEN}":
            self._send(401, b"{}", {"X-Error-Code": "GatedRepo"}, body=body)
        elif path.startswith(f"/api/models/{REPOSITORY}/tree/"):
            files = [
                {"type": "file", "path": name, "oid": "0" * 40, "size": (hub.folder / name).stat().st_size}
                for name in hub.names
            ]
            self._send(200, json.dumps(files).encode(), {}, body=body)
        elif path.startswith(f"/api/models/{REPOSITORY}"):
            siblings = [{"rfilename": name} for name in hub.names]
            about = {"id": REPOSITORY, "sha": COMMIT, "siblings": siblings, "private": True, "tags": []}
            self._send(200, json.dumps(about).encode(), {}, body=body)
        else:
            self._file(path.partition("/resolve/")[2].partition("/")[2], body=body)

    def _file(self, name: str, *, body: bool) -> None:
        hub = self.hub
        if name not in hub.names or (body and name in hub.lost):
            self._send(500 if name in hub.lost else 404, b"", {}, body=body)
            return
        content, since = (hub.folder / name).read_bytes(), self.headers.get("Range")
        headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        if not body:
            self._send(200, content, headers, body=False)
            return
        hub.fetched.append((name, since))
        first = int(since.removeprefix("bytes=").partition("-")[0]) if since else 0
        rest = content[first:]
        if since:
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        if name in hub.break_off:
            hub.break_off.discard(name)
            self._send(200, rest, headers, body=True, sent=len(rest) * 9 // 10)
            self.close_connection = True
            return
        self._send(206 if since else 200, rest, headers, body=True)

    def _send(
        self, code: int, content: bytes, headers: Mapping[str, str], *, body: bool, sent: int | None = None
    ) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content[:sent])
            self.wfile.flush()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[Hub, str]]:
    """The hub and its address."""
    repository = write_folder(tmp_path / "repository")
    # Of unlike contents: the cache has equal ones once.
    write_safetensors(repository / LARGE, {"weight": (2500, 2500)})
    write_safetensors(repository / LOST, {"weight": (3, 3)})
    (repository / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"a pickle")
    served = Hub(folder=repository)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("AnswerOf", (Answer,), {"hub": served}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield served, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_download_breaks_off_fails_and_is_whole_in_the_end(hub: tuple[Hub, str], tmp_path: Path) -> None:
    served, address = hub
    home = tmp_path / "home of the hub"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "UNDERPAINT_"))
    }
    environment |= {"HF_ENDPOINT": address, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1"}

    def models(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "underpaint",
            "models",
            *arguments,
            "--data-dir",
            str(tmp_path / "data"),
        ]
        return subprocess.run(
            command, env={**environment, **more}, capture_output=True, text=True, check=False
        )

    pull: tuple[Any, ...] = ("pull", "civitai:25694@143906", REPOSITORY)

    refused = models(*pull)
    assert refused.returncode == 1
    assert served.fetched == []

    # A connection that breaks is taken up where it broke; another file cannot be had at all.
    served.break_off, served.lost = {LARGE}, {LOST}
    failed = models(*pull, HF_TOKEN=TOKEN)
    assert failed.returncode == 1, served.fetched
    since = f"bytes={DOWNLOAD_CHUNK_SIZE}-"
    assert [since for name, since in served.fetched if name == LARGE] == [None, since]
    assert InstalledModels(tmp_path / "data").entries() == {}
    assert "civitai:25694@143906" not in models("list", HF_TOKEN=TOKEN).stdout

    # Given again, it fetches what is missing and nothing else.
    served.lost, served.fetched = set(), []
    whole = models(*pull, HF_TOKEN=TOKEN)
    assert (whole.returncode, whole.stderr[-500:]) == (0, whole.stderr[-500:])
    assert LARGE not in [name for name, _ in served.fetched]
    assert not any(name.endswith(".bin") for name, _ in served.fetched)
    assert LOST in [name for name, _ in served.fetched]
    assert served.tokens == {None, f"Bearer {TOKEN}"}

    # It lies where HF_HOME says, and is all that is needed without the hub.
    [found] = home.rglob(LARGE)
    assert found.read_bytes() == (served.folder / LARGE).read_bytes()
    served.fetched = []
    shown = models("show", "civitai:25694@143906", "--json", HF_HUB_OFFLINE="1")
    assert json.loads(shown.stdout)["problem"] is None
    elsewhere = models(
        "show", "civitai:25694@143906", "--json", HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "elsewhere")
    )
    assert "not been downloaded completely" in json.loads(elsewhere.stdout)["problem"]
    assert served.fetched == []
